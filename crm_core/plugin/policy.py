"""The arguments and answers of policy hooks."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, Literal

import msgspec

from crm_core.model.catalog import Catalog
from crm_core.plugin.door import MOST_ITEMS, exactly, pointer, sentence

Kind = Literal["blocked", "unsupported"]
_KINDS: Final[tuple[Kind, ...]] = ("blocked", "unsupported")


class NamedModule(msgspec.Struct, frozen=True):
    """A module or feature key that a push names: where it appears, and how it is written there."""

    pointer: str
    name: str


class ModuleRefusal(msgspec.Struct, frozen=True):
    """A reason to refuse a push: ``blocked`` (403 module_blocked) or ``unsupported`` (422 module_unsupported)."""

    kind: Kind
    pointer: str
    message: str


def refusals(value: Any) -> list[ModuleRefusal]:
    """The checked refusals of a policy: ``MOST_ITEMS`` and one more, so that answers can say that more follow."""
    return [_refusal(each) for each in islice(value, MOST_ITEMS + 1)]


def _refusal(value: Any) -> ModuleRefusal:
    refusal = exactly(value, ModuleRefusal)
    if refusal.kind not in _KINDS:
        raise ValueError(f"the kind of a refusal is {' or '.join(_KINDS)}")
    kind = _KINDS[_KINDS.index(refusal.kind)]
    return ModuleRefusal(kind, pointer(refusal.pointer), sentence(refusal.message))


class PolicyContext(msgspec.Struct, frozen=True):
    """The facts that a policy gets."""

    tenant: str
    catalog: Catalog

"""What policy hooks look at and what they answer."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from crm_core.model.catalog import Catalog
from crm_core.model.fields import prepare
from crm_core.plugin.door import instance, pointer


class NamedModule(msgspec.Struct, frozen=True):
    """A module or feature key that a push names: where it appears, and how it is written there."""

    pointer: str
    name: str


class ModuleRefusal(msgspec.Struct, frozen=True):
    """A reason not to take a push: ``blocked`` (403 module_blocked) or ``unsupported`` (422 module_unsupported)."""

    kind: Literal["blocked", "unsupported"]
    pointer: str
    message: str


prepare((ModuleRefusal,))  # long bodies are checked in threads


def refusals(value: Any) -> list[ModuleRefusal]:
    """The checked refusals of a policy."""
    found = [instance(each, ModuleRefusal) for each in value]
    for each in found:
        pointer(each.pointer)
    return found


class PolicyContext(msgspec.Struct, frozen=True):
    """The facts that a policy gets."""

    tenant: str
    catalog: Catalog

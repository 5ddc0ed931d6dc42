"""Every code of a problem with its meaning: what the page behind a problem's ``type`` lists."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import msgspec

from crm_core import errors
from crm_core.errors import CrmError, SecretRequired
from crm_core.model.secret_members import secret_members
from crm_core.plugin.registry import Registry


class ErrorCode(msgspec.Struct, frozen=True, order=True):
    """An entry of the page; ``meaning`` is the docstring of the error's class."""

    code: str
    status: int
    title: str
    meaning: str


def error_codes(registry: Registry) -> list[ErrorCode]:
    """Every code by name, the codes of secret members of the installed sections included."""
    return sorted(set(_codes(registry)))


def _codes(registry: Registry) -> Iterator[ErrorCode]:
    for name in errors.__all__:
        kind = getattr(errors, name)
        is_code = isinstance(kind, type) and issubclass(kind, CrmError) and "code" in vars(kind)
        if not is_code or kind is CrmError:
            continue  # what only groups others
        meaning = " ".join((inspect.getdoc(kind) or "").replace("``", "").split())
        yield ErrorCode(kind.code, kind.status, kind.title, meaning)
        if kind is SecretRequired:
            for section in registry.sections.values():
                for member in secret_members(section.SECTION):
                    yield ErrorCode(f"{member.path[-1]}_required", kind.status, kind.title, meaning)

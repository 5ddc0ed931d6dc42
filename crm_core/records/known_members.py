"""The members that a record type knows, those of objects and rows too: input may name them, stored records use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, get_args

from msgspec.structs import astuple

from crm_core.errors import Finding
from crm_core.model.fields import step
from crm_core.model.stored_values import as_stored
from crm_core.plugin.member import Member

Known = Mapping[str, "Known | None"]  # member names; below the name of an object or of rows, their own


def known_members(members: Iterable[Member]) -> Known:
    """The names of the members, those of objects and rows below their own."""
    return {member.name: known_members(member.members) if member.members else None for member in members}


def objects_or_null(members: Iterable[Member]) -> tuple[str, ...]:
    """The names of the objects that say nothing without members, and are null then."""
    objects = (each for each in members if each.kind == "object" and NoneType in get_args(each.type))
    empty = ((each.name, as_stored({}, each.type)) for each in objects)
    return tuple(name for name, value in empty if value and all(inner is None for inner in astuple(value)))


def unknown_members(patch: Mapping[str, Any], known: Known, pointer: str = "") -> Iterator[Finding]:
    """The members of a patch that the type does not have."""
    for name, value in patch.items():
        if name not in known:
            message = f"Unknown member. Known: {', '.join(known)}."
            yield Finding(pointer + step(name), "unknown_member", message)
        elif (inner := known[name]) is not None:
            for at, part in _parts(value):
                yield from unknown_members(part, inner, pointer + step(name) + at)


def present_members(members: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """A stored record's members without nulls, and without those that its type no longer has."""
    return {
        name: value if (inner := known[name]) is None else _present(value, inner)
        for name, value in members.items()
        if value is not None and name in known
    }


def _present(value: Any, known: Known) -> Any:
    if isinstance(value, list):
        return [_present(row, known) for row in value]
    return present_members(value, known) if isinstance(value, dict) else value


def _parts(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The object, or the rows, of input with the rest of the pointer to each."""
    if isinstance(value, dict):
        yield "", value
    elif isinstance(value, list):
        yield from ((step(at), row) for at, row in enumerate(value) if isinstance(row, dict))

"""The members that a record type knows, of objects as well: what input may name, and what of a stored record counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from crm_core.errors import Finding
from crm_core.model.fields import step
from crm_core.plugin.member import Member

Known = Mapping[str, "Known | None"]  # member names; below an object's name, its own


def known_members(members: Iterable[Member]) -> Known:
    """The names of the members, those of objects below their own."""
    return {member.name: known_members(member.members) if member.kind == "object" else None for member in members}


def unknown_members(patch: Mapping[str, Any], known: Known, pointer: str = "") -> Iterator[Finding]:
    """The members of a patch that the type does not have."""
    for name, value in patch.items():
        if name not in known:
            message = f"Unknown member. Known: {', '.join(known)}."
            yield Finding(pointer + step(name), "unknown_member", message)
        elif isinstance(value, dict) and (inner := known[name]) is not None:
            yield from unknown_members(value, inner, pointer + step(name))


def present_members(members: Mapping[str, Any], known: Known) -> dict[str, Any]:
    """A stored record's members without nulls, and without those that its type no longer has."""
    return {
        name: value if (inner := known[name]) is None else present_members(value, inner)
        for name, value in members.items()
        if value is not None and name in known
    }

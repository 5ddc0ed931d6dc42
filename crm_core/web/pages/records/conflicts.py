"""What the form shows after somebody else saved the record meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.names import within
from crm_core.web.pages.layout.parts import Mark
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CellRenderer
from crm_core.web.pages.records.forms import Values, entries_of, leaves
from crm_core.web.pages.records.merging import Difference, undecided


class ConflictRow(msgspec.Struct, frozen=True, kw_only=True):
    """A field that differs, with its label and its values as readers see them."""

    label: str
    name: str
    side: str
    mine: str
    theirs: str
    was: str
    picked: str


class EditConflict(msgspec.Struct, frozen=True, kw_only=True):
    """Both versions. ``decide`` names the fields to choose for; ``was`` is what both started from, as JSON."""

    title: str
    text: str
    who: str
    revision: int
    mark: Mark | None
    rows: tuple[ConflictRow, ...]
    decide: str
    was: str


async def conflict_of(
    context: PageContext, record_type: RecordType, record: Mapping[str, Any], was: Values, found: list[Difference]
) -> EditConflict:
    """The conflict for the page."""
    who = await context.names.actor(record["updated_by"])
    both = [one.name for one in found if one.side == "both"]
    left, at = len(undecided(found)), context.formats.moment(record["updated_at"])
    when = f"That was {at.short}. " if at else ""
    return EditConflict(
        title=f"{who} saved this {record_type.SINGULAR.lower()} while you were editing",
        text=f"{when}{_counted(both)} Your changes are not saved yet.",
        who=within(who),
        revision=record["revision"],
        mark=Mark("warn", "alert", f"{left} to decide") if left else None,
        rows=tuple([row async for row in _rows(context, record_type, found)]),
        decide=" ".join(both),
        was=msgspec.json.encode(was).decode(),
    )


def _counted(both: list[str]) -> str:
    if not both:
        return "You changed different fields, so both changes are merged below."
    return f"You both changed {len(both)} field{'s' if len(both) > 1 else ''}. Choose a version of each."


async def _rows(context: PageContext, record_type: RecordType, found: Iterable[Difference]) -> Any:
    members, shower = dict(leaves(record_type)), CellRenderer(context, record_type)
    for one in found:
        member = members[one.name]
        said = [await _said(shower, member, text) for text in (one.mine, one.theirs, one.was)]
        shown = msgspec.structs.replace(one, mine=said[0], theirs=said[1], was=said[2])
        yield ConflictRow(
            label=_label(record_type, one.name, member),
            name=one.name,
            side=one.side,
            mine=shown.mine,
            theirs=shown.theirs,
            was=shown.was,
            picked=one.picked,
        )


async def _said(shower: CellRenderer, member: Member, text: str) -> str:
    if member.kind == "reference" and text and member.reference:
        return await shower.name_of(member.reference, text) or "Not visible to you"
    if member.kind == "flag":
        return "Yes" if text == "true" else "No"
    if member.kind == "entries" and text:
        return "\n".join(f"{name}: {value}" for name, value in entries_of(text).items())
    return dict(member.choices).get(text, text)


def _label(record_type: RecordType, name: str, member: Member) -> str:
    outer, _, inner = name.partition(".")
    return f"{record_type.member(outer).label}: {member.label}" if inner else member.label

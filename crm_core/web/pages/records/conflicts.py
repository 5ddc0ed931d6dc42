"""Both versions of a record, for the form of a user who was not the first to save."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from crm_core.language import gettext, ngettext
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.labels import choice_labels, member_label
from crm_core.web.pages.layout.names import within
from crm_core.web.pages.layout.parts import Mark
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import HIDDEN, CellRenderer
from crm_core.web.pages.records.form_rows import rows_of
from crm_core.web.pages.records.forms import RecordForm, leaves
from crm_core.web.pages.records.merging import Difference, Merge
from crm_core.web.pages.records.typed_values import entries_of


class ConflictRow(Difference, frozen=True, kw_only=True):
    """A field that differs, with its label and its values as readers see them."""

    label: str


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


async def conflict_of(context: PageContext, form: RecordForm, merge: Merge) -> EditConflict:
    """The conflict for the page."""
    who = await context.names.actor(form.record["updated_by"])
    both = [one.name for one in merge.differences() if one.side == "both"]
    undecided, at = len(merge.undecided), context.formats.within(form.record["updated_at"])
    text = [gettext("That was {time}.", time=at.short), _counted(both), gettext("Your changes are not saved yet.")]
    return EditConflict(
        title=gettext(
            "{who} saved this {record} while you were editing", who=who, record=context.singular_of(form.type)
        ),
        text=" ".join(text),
        who=within(who),
        revision=form.record["revision"],
        mark=Mark("warn", "alert", gettext("{n} to decide", n=undecided)) if undecided else None,
        rows=tuple([row async for row in _rows(context, form.type, merge)]),
        decide=" ".join(both),
        was=msgspec.json.encode(merge.base).decode(),
    )


def _counted(both: list[str]) -> str:
    if not both:
        return gettext("You changed different fields, so both changes are merged below.")
    return ngettext(
        "You both changed {n} field. Choose a version of it.",
        "You both changed {n} fields. Choose a version of each.",
        len(both),
    )


async def _rows(context: PageContext, record_type: RecordType, merge: Merge) -> AsyncIterator[ConflictRow]:
    members, cells = dict(leaves(record_type)), CellRenderer(context, record_type)
    for one in merge.differences():
        member = members[one.name]
        yield ConflictRow(
            label=_label(record_type, one.name, member),
            name=one.name,
            side=one.side,
            mine=await _readable(cells, member, one.mine),
            theirs=await _readable(cells, member, one.theirs),
            was=await _readable(cells, member, one.was),
            picked=one.picked,
        )


async def _readable(cells: CellRenderer, member: Member, text: str) -> str:
    if member.kind == "reference" and text and member.reference:
        return await cells.name_of(member.reference, text) or gettext(HIDDEN)
    if member.kind == "flag":
        return gettext("Yes") if text == "true" else gettext("No")
    if member.kind == "entries" and text:
        return "\n".join(f"{name}: {value}" for name, value in entries_of(text).items())
    if member.kind == "rows":
        rows = [[await _readable(cells, one, row.get(one.name, "")) for one in member.members] for row in rows_of(text)]
        return "\n".join(", ".join(filter(None, row)) for row in rows)
    return dict(choice_labels(member)).get(text, text)


def _label(record_type: RecordType, name: str, member: Member) -> str:
    outer, _, inner = name.partition(".")
    return f"{member_label(record_type.member(outer))}: {member_label(member)}" if inner else member_label(member)

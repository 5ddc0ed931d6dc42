"""The entries of a timeline: a record's own changes, and what happened to the records that refer to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import msgspec

from crm_core.language import gettext, gettext_noop, noun
from crm_core.model.change_log import ChangeEntry
from crm_core.model.diff import Change
from crm_core.model.times import from_wire, is_moment
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType, Reference
from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.layout.labels import choice_labels, member_label
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CORE_LABELS, CellRenderer, first_of_kind
from crm_core.web.pages.records.queries import access_of, records_of

SHOWN: Final = 30
"""Entries of a part of a timeline."""
END: Final = "9999-12-31T23:59:59.999Z"
"""After everything that has happened."""
_MOST_READ: Final = 4000
"""Entries of a history that are read to find those before a moment."""
_MOST_MOVED: Final = 10
"""Records of a type with lanes whose moves are looked for, those changed last."""
_TOGETHER: Final = timedelta(minutes=5)
"""Changes of one person within this time are one entry."""
_LONGEST: Final = 120
_VERBS: Final = {
    "created": gettext_noop("created it"),
    "updated": gettext_noop("changed"),
    "archived": gettext_noop("archived it"),
    "restored": gettext_noop("restored it"),
}


class ChangedField(NamedTuple):
    """A field that was changed, with its texts before and after."""

    label: str
    before: str
    after: str


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry. ``look``: ``said``, ``done``, ``moved`` or ``changed``; ``undo``: the revision to undo, 0 for none.

    ``moment``: when it happened; ``added``: when it was written down, if that was another day.
    """

    look: str
    icon: str
    who: str
    verb: str
    at: Moment
    moment: str
    href: str = ""
    name: str = ""
    text: str = ""
    added: str = ""
    fields: tuple[ChangedField, ...] = ()
    undo: int = 0


def look_of(record_type: RecordType) -> str:
    """How the records of a type appear in a timeline; empty if they do not."""
    if moment_of(record_type):
        return "said"
    if record_type.DUE and record_type.DUE.done:
        return "done"
    return "moved" if record_type.LANES else ""


def moment_of(record_type: RecordType) -> str | None:
    """The member that says when a record happened; None if its records have no such time."""
    member = first_of_kind(record_type, "moment")
    return None if member is None else member.name


async def changes_of(
    context: PageContext, cells: CellRenderer, record: dict[str, Any], before: str
) -> AsyncIterator[TimelineEntry]:
    """The changes of a record before a moment; those of one person in a few minutes are one entry."""
    name = cells.record_type.NAME
    entries, begins = await _history(context, name, record["id"], before, SHOWN + 1)
    may_undo = record["archived_at"] is None and context.may(f"{name}.update", writes=True)
    for group in _together(entries):
        newest = group[0]
        is_last = len(group) == 1 and newest.revision == record["revision"]
        fields = tuple([await _field(cells, change) for change in _merged(group)])
        verb = gettext(_VERBS.get(newest.change or "", "changed"))
        yield TimelineEntry(
            look="changed",
            icon="pen",
            who=await context.names.actor(newest.actor or ""),
            verb=gettext("changed it and set it back") if len(group) > 1 and not fields else verb,
            at=context.formats.moment(newest.at),
            moment=newest.at,
            fields=fields,
            undo=newest.revision if may_undo and is_last and newest.change == "updated" else 0,
        )
    if begins and record["created_at"] < before:  # of a version without a change log
        who = await context.names.actor(record["created_by"])
        at = record["created_at"]
        moment = context.formats.moment(at)
        yield TimelineEntry(look="changed", icon="pen", who=who, verb=gettext("created it"), at=moment, moment=at)


async def _history(
    context: PageContext, record_type: str, record_id: str, before: str, most: int
) -> tuple[list[ChangeEntry], bool]:
    """The newest entries of a record before a moment, and whether the record began before its history."""
    found: list[ChangeEntry] = []
    cursor, read, access = None, 0, access_of(context, record_type)
    while True:
        page = await context.services.records.feed.history(access, record_id, most if before == END else 200, cursor)
        found += [stored.entry for stored in page.entries if stored.entry.at < before]
        read, cursor = read + len(page.entries), page.next_cursor
        if len(found) >= most or cursor is None or read >= _MOST_READ:
            begins = cursor is None and (not page.entries or page.entries[-1].entry.change != "created")
            return found[:most], begins


def _together(entries: Sequence[ChangeEntry]) -> Iterator[list[ChangeEntry]]:
    """Changes of one person within a few minutes, newest first."""
    group: list[ChangeEntry] = []
    for entry in entries:
        last = group[-1] if group else None
        near = last is not None and from_wire(last.at) - from_wire(entry.at) <= _TOGETHER
        if last is not None and not (near and last.actor == entry.actor and last.change == entry.change == "updated"):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _merged(group: Sequence[ChangeEntry]) -> Iterable[Change]:
    """One change for each place: from before the oldest entry to after the newest; none if both are the same."""
    first: dict[str, Change] = {}
    for entry in group:
        for change in entry.changes:
            newer = first.get(change.pointer)
            first[change.pointer] = change if newer is None else Change(change.pointer, change.before, newer.after)
    return (change for change in first.values() if change.before != change.after)


async def _field(cells: CellRenderer, change: Change) -> ChangedField:
    outer, *inner = change.pointer.removeprefix("/").split("/")
    member = next((one for one in cells.record_type.members if one.name == outer), None)
    label = gettext(CORE_LABELS.get(outer, outer)) if member is None else member_label(member)
    if inner:
        label = f"{label}, {'/'.join(inner)}"
    before, after = [await _text(cells, None if inner else member, value) for value in (change.before, change.after)]
    return ChangedField(label, before, after)


async def _text(cells: CellRenderer, member: Member | None, value: Any) -> str:
    if value is None or value in ("", [], {}):
        return ""
    text = str(value) if member is None else (await cells.cell(member.name, {member.name: value})).text or str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\N{HORIZONTAL ELLIPSIS}"


async def referring(
    context: PageContext, other: RecordType, reference: Reference, record_id: str, before: str
) -> AsyncIterator[TimelineEntry]:
    """The entries of the records of a type that refer to the record."""
    wanted = {reference.member: record_id, "limit": str(SHOWN + 1)}
    moment, cells = moment_of(other), CellRenderer(context, other)
    if moment in other.SORTABLE and moment in other.FILTERABLE:
        parts = [{"sort": f"-{moment}", f"{moment}.lt": before}, {"sort": "-created_at", "created_at.lt": before}]
        parts[1][moment] = ""  # those that say no time
        for part in parts:
            for one in (await records_of(context, other.NAME, wanted | part))[0]:
                at = one[moment]
                yield await _said(context, other, one, at if at and is_moment(at) else one["created_at"])
    elif look_of(other) == "done" and other.DUE and other.DUE.done:
        part = {other.DUE.done: "true", "sort": "-updated_at", "updated_at.lt": before}
        for one in (await records_of(context, other.NAME, wanted | part))[0]:
            yield await _of(context, other, one, look="done", icon="check", by="updated_by", at="updated_at")
    elif look_of(other) == "moved":
        part = {"sort": "-updated_at", "limit": str(_MOST_MOVED)}
        for one in (await records_of(context, other.NAME, wanted | part))[0]:
            async for entry in _moves(cells, one, before):
                yield entry


def kind_of(context: PageContext, record_type: RecordType, record: Mapping[str, Any]) -> str:
    """The kind of a note, call or meeting: the label of its first choice; without one, its type."""
    choice = first_of_kind(record_type, "choice")
    label = dict(choice_labels(choice)).get(record.get(choice.name, "")) if choice else None
    return label or context.singular_of(record_type)


async def _said(context: PageContext, other: RecordType, record: dict[str, Any], at: str) -> TimelineEntry:
    """A note, call or meeting, at the time that it has."""
    kind = kind_of(context, other, record)
    member = first_of_kind(other, "paragraphs")
    text = (record[member.name] if member else None) or ""
    written = context.formats.moment(record["created_at"])
    later = abs(from_wire(record["created_at"]) - from_wire(at)) >= timedelta(days=1)
    entry = await _of(context, other, record, look="said", icon="page", by="created_by", at="created_at")
    is_named = not text.lstrip().startswith(record["name"])  # by a name other than the beginning of its text
    return msgspec.structs.replace(
        entry,
        verb=gettext("added: {kind}", kind=noun(kind)) if is_named else gettext("added:"),
        name=record["name"] if is_named else noun(kind),
        at=context.formats.moment(at),
        moment=at,
        text=text,
        added=gettext("added {day}", day=written.short) if later else "",
    )


async def _of(
    context: PageContext, other: RecordType, record: dict[str, Any], *, look: str, icon: str, by: str, at: str
) -> TimelineEntry:
    return TimelineEntry(
        look=look,
        icon=icon,
        who=await context.names.actor(record[by]),
        verb=gettext("finished the {record}", record=context.singular_of(other)),
        at=context.formats.moment(record[at]),
        moment=record[at],
        href=f"{context.root}/{other.NAME}/{record['id']}",
        name=record["name"],
    )


async def _moves(cells: CellRenderer, record: dict[str, Any], before: str) -> AsyncIterator[TimelineEntry]:
    """The creation of a record, and its moves from lane to lane."""
    context, other = cells.context, cells.record_type
    entries, _ = await _history(context, other.NAME, record["id"], before, SHOWN)
    for entry in entries:
        moves = [change for change in entry.changes if change.pointer == f"/{other.LANES}"]
        if moves or entry.change == "created":
            verb = gettext("moved") if moves else gettext("created the {record}", record=context.singular_of(other))
            yield TimelineEntry(
                look="moved",
                icon="board",
                who=await context.names.actor(entry.actor or ""),
                verb=verb,
                at=context.formats.moment(entry.at),
                moment=entry.at,
                href=f"{context.root}/{other.NAME}/{record['id']}",
                name=record["name"],
                fields=tuple([await _field(cells, change) for change in moves]),
            )

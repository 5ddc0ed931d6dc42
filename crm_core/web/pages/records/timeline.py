"""The timeline of a record: its changes, and the dated and done records that refer to it, newest first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any, Final, NamedTuple

import msgspec

from crm_core.model.change_log import ChangeEntry
from crm_core.model.diff import Change
from crm_core.model.times import from_wire
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType, Reference
from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CORE_LABELS, CellRenderer
from crm_core.web.pages.records.queries import access_of, records_of

_SHOWN: Final = 30
_TOGETHER: Final = timedelta(minutes=5)
"""Changes of one person within this time are one entry."""
_LONGEST: Final = 120
_VERBS: Final = {"created": "created it", "updated": "changed", "archived": "archived it", "restored": "restored it"}


class ChangedField(NamedTuple):
    """A field that was changed, with its texts before and after."""

    label: str
    before: str
    after: str


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry. ``look``: ``said``, ``done`` or ``changed``; ``undo``: the revision that can be undone, 0 for none."""

    look: str
    who: str
    verb: str
    at: Moment | None
    moment: str
    href: str = ""
    name: str = ""
    text: str = ""
    fields: tuple[ChangedField, ...] = ()
    undo: int = 0


class TimelineDay(NamedTuple):
    """The entries of one day."""

    title: str
    entries: tuple[TimelineEntry, ...]


async def timeline(
    context: PageContext,
    cells: CellRenderer,
    record: dict[str, Any],
    referrers: Iterable[tuple[RecordType, Reference]],
) -> tuple[TimelineDay, ...]:
    """The newest entries by day. ``referrers``: the types whose records refer to this one, and by which member."""
    found = [entry async for entry in _changes(context, cells, record)]
    for other, reference in referrers:
        found += [entry async for entry in _referring(context, other, reference, record["id"])]
    found.sort(key=lambda entry: entry.moment, reverse=True)
    days = groupby(
        found[:_SHOWN], lambda entry: from_wire(entry.moment).astimezone(context.formats.regional.zone).date()
    )
    return tuple(TimelineDay(context.formats.full_day(day), tuple(entries)) for day, entries in days)


async def _changes(context: PageContext, cells: CellRenderer, record: dict[str, Any]) -> AsyncIterator[TimelineEntry]:
    name = cells.record_type.NAME
    page = await context.services.records.feed.history(access_of(context, name), record["id"], _SHOWN)
    entries = [stored.entry for stored in page.entries]
    may_undo = record["archived_at"] is None and context.may(f"{name}.update", writes=True)
    for group in _together(entries):
        newest = group[0]
        undo = newest.revision if may_undo and len(group) == 1 and newest.revision == record["revision"] else 0
        yield TimelineEntry(
            look="changed",
            who=await context.names.actor(newest.actor or ""),
            verb=_VERBS.get(newest.change or "", "changed"),
            at=context.formats.moment(newest.at),
            moment=newest.at,
            fields=tuple([await _field(cells, change) for change in _merged(group)]),
            undo=undo if newest.change == "updated" else 0,
        )
    if not entries:  # of a version without a change log
        who = await context.names.actor(record["created_by"])
        at = record["created_at"]
        yield TimelineEntry(look="changed", who=who, verb="created it", at=context.formats.moment(at), moment=at)


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


def _merged(group: Sequence[ChangeEntry]) -> Iterator[Change]:
    """One change for each place: from before the oldest entry to after the newest."""
    first: dict[str, Change] = {}
    for entry in group:
        for change in entry.changes:
            newer = first.get(change.pointer)
            first[change.pointer] = change if newer is None else Change(change.pointer, change.before, newer.after)
    return iter(first.values())


async def _field(cells: CellRenderer, change: Change) -> ChangedField:
    outer, *inner = change.pointer.removeprefix("/").split("/")
    member = next((one for one in cells.record_type.members if one.name == outer), None)
    label = CORE_LABELS.get(outer, outer) if member is None else member.label
    if inner:
        label = f"{label}, {'/'.join(inner)}"
    before, after = [await _text(cells, None if inner else member, value) for value in (change.before, change.after)]
    return ChangedField(label, before, after)


async def _text(cells: CellRenderer, member: Member | None, value: Any) -> str:
    if value is None or value in ("", [], {}):
        return ""
    text = str(value) if member is None else (await cells.cell(member.name, {member.name: value})).text or str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\N{HORIZONTAL ELLIPSIS}"


async def _referring(
    context: PageContext, other: RecordType, reference: Reference, record_id: str
) -> AsyncIterator[TimelineEntry]:
    """The dated records, and those that are done, of a type that refers to the record."""
    moment, done = moment_of(other), other.DUE.done if other.DUE else None
    if moment is None and done is None:
        return
    wanted = {reference.member: record_id, "limit": str(_SHOWN), "sort": "-updated_at"}
    if moment is None and done is not None:
        wanted[done] = "true"
    found, _ = await records_of(context, other.NAME, wanted)
    for one in found:
        at = one["updated_at"] if moment is None else one[moment] or one["created_at"]
        kind = next((dict(m.choices).get(one[m.name], "") for m in other.members if m.kind == "choice"), other.SINGULAR)
        text = next((one[member.name] or "" for member in other.members if member.kind == "paragraphs"), "")
        yield TimelineEntry(
            look="done" if moment is None else "said",
            who=await context.names.actor(one["updated_by" if moment is None else "created_by"]),
            verb=f"finished the {other.SINGULAR.lower()}" if moment is None else f"added: {kind.lower()}",
            at=context.formats.moment(at),
            moment=at,
            href=f"{context.root}/{other.NAME}/{one['id']}",
            name=one["name"],
            text="" if moment is None or text == one["name"] else text,
        )


def moment_of(record_type: RecordType) -> str | None:
    """The member that says when a record happened; None if its records have no such time."""
    return next((member.name for member in record_type.members if member.kind == "moment"), None)

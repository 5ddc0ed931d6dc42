"""The timeline of a record: its changes, and the dated, done and moved records that refer to it, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from crm_core.language import gettext
from crm_core.model.times import from_wire, is_moment
from crm_core.plugin.record_type import RecordType, Reference
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CellRenderer
from crm_core.web.pages.records.timeline_entries import END, SHOWN, TimelineEntry, changes_of, look_of, referring

Referrers = Sequence[tuple[RecordType, Reference]]
"""The types whose records refer to the record, and by which member."""


class TimelineDay(NamedTuple):
    """The entries of one day."""

    title: str
    entries: tuple[TimelineEntry, ...]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a timeline. ``kinds``: what it can be narrowed to; ``older``: the moment that the next part is before.

    ``show``, ``before``: the kind and the moment that this part was asked with, empty if none.
    """

    days: tuple[TimelineDay, ...]
    kinds: tuple[Option, ...]
    show: str
    before: str
    older: str


async def timeline(
    context: PageContext, cells: CellRenderer, record: dict[str, Any], referrers: Referrers, *, show: str, before: str
) -> Timeline:
    """The newest entries before a moment (if there is one) and of a kind (if it is one), by day."""
    kinds = tuple(_kinds(context, referrers))
    show = show if show in {kind.value for kind in kinds} else ""
    before = before if is_moment(before) else ""
    found: list[TimelineEntry] = []
    if show in ("", "changed"):
        found += [entry async for entry in changes_of(context, cells, record, before or END)]
    for other, reference in referrers:
        if show in ("", look_of(other)):
            found += [entry async for entry in referring(context, other, reference, record["id"], before or END)]
    found.sort(key=lambda entry: entry.moment, reverse=True)
    shown = found[:SHOWN]
    while len(shown) < len(found) and found[len(shown)].moment == shown[-1].moment:  # the next part begins after it
        shown.append(found[len(shown)])
    days = groupby(shown, lambda entry: context.formats.regional.local(from_wire(entry.moment)).date())
    return Timeline(
        days=tuple(TimelineDay(context.formats.full_day(day), tuple(entries)) for day, entries in days),
        kinds=kinds,
        show=show,
        before=before,
        older=shown[-1].moment if len(shown) < len(found) else "",
    )


def _kinds(context: PageContext, referrers: Referrers) -> Iterator[Option]:
    """Everything, each kind of record by the titles of its types, and the record's own changes."""
    yield Option("", gettext("Everything"))
    for look in ("said", "done", "moved"):
        titles = dict.fromkeys(context.title_of(other) for other, _ in referrers if look_of(other) == look)
        if titles:
            yield Option(look, ", ".join(titles))
    yield Option("changed", gettext("Changes"))

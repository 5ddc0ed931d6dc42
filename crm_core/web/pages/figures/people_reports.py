"""Reports by colleague: what they did in the period, and what is overdue now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from msgspec.structs import replace

from crm_core.language import gettext, ngettext, noun
from crm_core.model.folded_text import caseless
from crm_core.model.turns import chosen_in_turns, in_turns
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.figures.charts import LegendEntry, Table
from crm_core.web.pages.figures.report import FILLS, PeopleChart, PersonRow, Report, ReportFilter, people_bars, rows_in
from crm_core.web.pages.figures.sales import month_after
from crm_core.web.pages.layout.labels import choice_labels
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import first_of_kind
from crm_core.web.pages.records.queries import TypeRows
from crm_core.web.pages.records.timeline_entries import moment_of

Counts = dict[str, dict[str, int]]
"""Numbers by kind, by the email address of a colleague; empty for records without one."""


async def activity_report(context: PageContext, types: Iterable[RecordType], chosen: ReportFilter) -> Report | None:
    """Dated records by their choice, such as calls and meetings, and finished tasks; None if no type has such."""
    counts: Counts = {}
    kinds: list[str] = []
    for one in types:
        moment = moment_of(one)
        if one.OWNER and moment:
            kinds += await _dated(context, one, moment, chosen, counts)
        elif one.OWNER and one.DUE and one.DUE.done:
            kinds.append(await _finished(context, one, one.DUE.done, chosen, counts))
    if not kinds:
        return None
    sub = gettext("In the period: {kinds}", kinds=", ".join(kinds))
    report = Report(name="activity", title=gettext("Activity by person"), sub=sub)
    counts = _by_person(counts)
    if not counts:
        empty = gettext("Nothing was noted or finished in this period. Add notes and calls on the page of a record.")
        return replace(report, empty=empty)
    names = await _named(context, counts)
    rows = [
        (names[email], [counts[email].get(kind, 0) for kind in kinds])
        for email in sorted(counts, key=lambda email: (-sum(counts[email].values()), names[email]))
    ]
    sums = [sum(values[at] for _, values in rows) for at in range(len(kinds))]
    number, most = context.formats.number, max(sum(values) for _, values in rows)
    fills = [FILLS[at % len(FILLS)] for at in range(len(kinds))]
    head = (gettext("Person"), *kinds, gettext("Sum"))
    chart = PeopleChart(
        title=report.title,
        rows=tuple(
            PersonRow(
                name,
                f"{name}: " + ", ".join(f"{kind} {number(value)}" for kind, value in zip(kinds, values, strict=True)),
                people_bars(zip(fills, values, strict=True), most),
                number(sum(values)),
                "",
            )
            for name, values in rows
        ),
        legend=tuple(
            LegendEntry(kind, fill, number(total)) for kind, fill, total in zip(kinds, fills, sums, strict=True)
        ),
        table=Table(
            head,
            tuple((name, *map(number, values), number(sum(values))) for name, values in rows),
            (gettext("Sum"), *map(number, sums), number(sum(sums))),
        ),
    )
    return replace(report, people=chart, csv=(head, *((name, *values, sum(values)) for name, values in rows)))


async def _dated(context: PageContext, one: RecordType, moment: str, chosen: ReportFilter, counts: Counts) -> list[str]:
    """Count the records that say when they happened, by the first choice that they have."""
    of_type, choice = TypeRows(context, one), first_of_kind(one, "choice")
    labels = dict(choice_labels(choice)) if choice else {}
    at, owner, value_of = map(of_type.value, (moment, one.OWNER, choice.name if choice else None))
    first, end = _bounds(context, chosen)
    async for some in in_turns(await rows_in(context, one, chosen)):
        for row in some:
            if first <= (at(row) or row.created_at) < end:
                _count(counts, owner(row), labels.get(value_of(row) or "") or context.title_of(one))
    return list(labels.values()) or [context.title_of(one)]


async def _finished(context: PageContext, one: RecordType, done: str, chosen: ReportFilter, counts: Counts) -> str:
    """Count the records that were finished in the period, by the change log."""
    of_type, name = TypeRows(context, one), gettext("{records} done", records=context.title_of(one))
    is_done, owner = of_type.value(done), of_type.value(one.OWNER)
    first, end = _bounds(context, chosen)
    rows = await chosen_in_turns(
        await rows_in(context, one, chosen), lambda row: is_done(row) and row.updated_at >= first
    )
    moments = await of_type.since(rows, done)
    for row in rows:
        if first <= (moments[row.id] or row.created_at) < end:
            _count(counts, owner(row), name)
    return name


def _bounds(context: PageContext, chosen: ReportFilter) -> tuple[str, str]:
    """The moments at which the period begins and ends."""
    start_of = context.formats.start_of
    return start_of(chosen.months[0]), start_of(month_after(chosen.months[-1]))


def _count(counts: Counts, owner: str | None, kind: str, count: int = 1) -> None:
    mine = counts.setdefault(owner or "", {})
    mine[kind] = mine.get(kind, 0) + count


def _by_person(counts: Counts) -> Counts:
    """The numbers of each person once: other systems and imports write the same address in capitals, too."""
    first: dict[str, str] = {}
    merged: Counts = {}
    for owner, kinds in counts.items():
        for kind, count in kinds.items():
            _count(merged, first.setdefault(caseless(owner), owner), kind, count)
    return merged


async def _named(context: PageContext, emails: Iterable[str]) -> Mapping[str, str]:
    return {email: await context.names.colleague(email) if email else gettext("No owner") for email in emails}


async def overdue_report(context: PageContext, one: RecordType, chosen: ReportFilter) -> Report:
    """The open records of a type with a due date that has passed, by owner."""
    assert one.DUE is not None
    of_type, today = TypeRows(context, one), context.formats.now.date()
    day, done, owner = map(of_type.value, (one.DUE.day, one.DUE.done, one.OWNER))
    counts: Counts = {}  # by day
    async for some in in_turns(await rows_in(context, one, chosen)):
        for row in some:
            if not done(row) and (day(row) or "9") < today.isoformat():
                _count(counts, owner(row), day(row))
    found = _by_person(counts)
    records = noun(context.title_of(one))
    report = Report(
        name=f"{one.NAME}-overdue",
        title=gettext("Overdue {records} by person", records=records),
        sub=gettext("As of today; the period does not apply"),
    )
    if not found:
        return replace(report, empty=gettext("Nothing is overdue."))
    names, number = await _named(context, found), context.formats.number
    rows = sorted(
        (
            (names[email], sum(days.values()), (today - date.fromisoformat(min(days))).days)
            for email, days in found.items()
        ),
        key=lambda row: (-row[1], row[0]),
    )
    most = rows[0][1]
    head = (gettext("Person"), gettext("Overdue"), gettext("Oldest"))
    days_of: Any = context.formats.days
    chart = PeopleChart(
        title=report.title,
        rows=tuple(
            PersonRow(
                person,
                ngettext("{person}: {n} overdue", "{person}: {n} overdue", count, person=person),
                people_bars([("f-no", count)], most),
                number(count),
                gettext("oldest {days}", days=days_of(oldest)),
            )
            for person, count, oldest in rows
        ),
        legend=(),
        table=Table(
            head,
            tuple((person, number(count), days_of(oldest)) for person, count, oldest in rows),
            (gettext("Sum"), number(sum(row[1] for row in rows)), days_of(max(row[2] for row in rows))),
        ),
    )
    return replace(report, people=chart, csv=((head[0], head[1], gettext("Oldest, in days")), *rows))

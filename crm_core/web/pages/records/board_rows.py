"""The records of a board: what its filters find, in which lane each is, and which need attention."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from heapq import nlargest
from typing import Any, Final, NamedTuple

from crm_core.language import gettext, ngettext
from crm_core.model.folded_text import caseless
from crm_core.model.turns import chosen_in_turns, in_turns
from crm_core.plugin.record_type import RecordType
from crm_core.records.figures import Row
from crm_core.web.pages.figures.sales import Sales, month_of
from crm_core.web.pages.layout.labels import member_label
from crm_core.web.pages.layout.parts import Mark
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import TypeRows, access_of

MOST_FOUND: Final = 2000  # records whose name a search finds; of more, those changed last


class BoardFilter(NamedTuple):
    """How a board is narrowed. ``owner``: an email address; ``closing``: open sales that close this month."""

    q: str = ""
    owner: str = ""
    closing: bool = False


class BoardRows(NamedTuple):
    """The records in each lane. ``decided``: the day of those won or lost, which are this month's.

    ``ended``: how many records such a lane has in all. ``cut``: a search found more names than it looks at.
    """

    lanes: Mapping[str, list[Row]]
    ended: Mapping[str, int]
    decided: Mapping[str, date]
    cut: bool


async def board_rows(
    context: PageContext, record_type: RecordType, lanes: str, sales: Sales | None, chosen: BoardFilter
) -> BoardRows:
    """The records that a board shows."""
    rows, cut = await _found(context, record_type, chosen)
    values = tuple(value for value, _ in record_type.member(lanes).choices)
    lane_of = TypeRows(context, record_type).value(lanes)
    decided = await sales.decided(rows, month_of(context.formats.now.date())) if sales else {}
    month = context.formats.now.date().isoformat()[:7]
    found: dict[str, list[Row]] = {value: [] for value in values}
    counts = dict.fromkeys(values, 0)
    async for some in in_turns(rows):
        for row in some:
            lane = lane_of(row)
            if sales and not sales.is_open(row):
                counts[lane] += 1
                if row.id not in decided:
                    continue
            elif sales and chosen.closing and (sales.closes_on(row) or "")[:7] != month:
                continue
            if lane in found:
                found[lane].append(row)
    return BoardRows(found, {lane: count for lane, count in counts.items() if count}, decided, cut)


async def _found(context: PageContext, record_type: RecordType, chosen: BoardFilter) -> tuple[Sequence[Row], bool]:
    """The records that the owner and the search find: in their own words, or in those of what they refer to."""
    of_type = TypeRows(context, record_type)
    rows: Sequence[Row] = await of_type.all()
    if chosen.owner and record_type.OWNER:
        rows = await rows_of(rows, of_type.value(record_type.OWNER), chosen.owner)
    if not chosen.q:
        return rows, False
    own, cut = await _ids(context, record_type.NAME, chosen.q)
    sought: list[tuple[Callable[[Row], Any], frozenset[str]]] = []
    for reference in record_type.REFERENCES:
        if context.may(f"{reference.record_type}.view"):
            ids, more = await _ids(context, reference.record_type, chosen.q)
            sought.append((of_type.value(reference.member), ids))
            cut = cut or more
    found = await chosen_in_turns(rows, lambda row: row.id in own or any(value(row) in ids for value, ids in sought))
    return found, cut


async def _ids(context: PageContext, record_type: str, q: str) -> tuple[frozenset[str], bool]:
    parameters = {"q": q, "sort": "-updated_at"}
    access = access_of(context, record_type)
    found = await context.services.records.reads.ids(access, parameters, MOST_FOUND + 1)
    return frozenset(found[:MOST_FOUND]), len(found) > MOST_FOUND


async def newest(rows: Sequence[Row], count: int) -> list[Row]:
    """The rows that were changed last, newest first."""
    found: list[Row] = []
    async for some in in_turns(rows):
        found = nlargest(count, [*found, *some], key=lambda row: row.updated_at)
    return found


async def rows_of(rows: Sequence[Row], owner_of: Callable[[Row], str | None], *emails: str) -> list[Row]:
    """The rows whose owner has one of these email addresses; each way to write them is compared once."""
    known: dict[str | None, bool] = {}

    def is_mine(row: Row) -> bool:
        owner = owner_of(row)
        if owner not in known:
            known[owner] = any(is_of(owner, email) for email in emails)
        return known[owner]

    return await chosen_in_turns(rows, is_mine)


def is_of(owner: str | None, email: str) -> bool:
    """Whether a record's owner is the colleague with this email address."""
    return owner is not None and (owner == email or caseless(owner) == caseless(email))


async def urgent_marks(context: PageContext, record_type: RecordType, rows: Iterable[Row]) -> dict[str, Mark]:
    """The most urgent thing about each record by id: it, or an open record that refers to it, is due or overdue."""
    today, wanted = context.formats.now.date(), {row.id for row in rows}
    first: dict[str, tuple[str, str]] = {}  # the day, and of what
    if record_type.DUE:
        day = TypeRows(context, record_type).value(record_type.DUE.day)
        label = member_label(record_type.member(record_type.DUE.day))
        for row in rows:
            _keep(first, row.id, day(row), label, today)
    for other in context.services.registry.record_types.values():
        due = other.DUE
        members = [one.member for one in other.REFERENCES if one.record_type == record_type.NAME]
        if due is None or due.done is None or not members or not context.may(f"{other.NAME}.view"):
            continue
        of_type, name = TypeRows(context, other), context.one_of(other)
        day, done, references = of_type.value(due.day), of_type.value(due.done), list(map(of_type.value, members))
        async for some in in_turns(await of_type.all()):
            for row in some:
                if not done(row) and day(row):
                    for reference in references:
                        if reference(row) in wanted:
                            _keep(first, reference(row), day(row), name, today)
    return {id_: _mark(context, date.fromisoformat(day), what) for id_, (day, what) in first.items()}


def _keep(first: dict[str, tuple[str, str]], id_: str, day: str | None, what: str, today: date) -> None:
    if day is not None and day <= today.isoformat() and (id_ not in first or day < first[id_][0]):
        first[id_] = (day, what)


def _mark(context: PageContext, day: date, what: str) -> Mark:
    late = (context.formats.now.date() - day).days
    if late == 0:
        return Mark("warn", "clock", gettext("{record} due today", record=what))
    text = ngettext(
        "{record} {n} day late", "{record} {n} days late", late, record=what, n=context.formats.number(late)
    )
    return Mark("bad", "clock", text)

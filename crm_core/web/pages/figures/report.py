"""A report: a chart with its table, and the same table as CSV; and what all reports of a page are narrowed to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final, NamedTuple

import msgspec

from crm_core.language import gettext
from crm_core.plugin.record_type import RecordType
from crm_core.records.figures import Row
from crm_core.web.pages.figures.charts import Bar, Chart, LegendEntry, Table
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.board_rows import rows_of
from crm_core.web.pages.records.queries import TypeRows

FILLS: Final = ("f1", "f2", "f3", "f4", "f5")


class ReportFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What all reports are narrowed to. ``months``: their first days, oldest first; ``before``: as many months earlier.

    ``owner``: an email address, empty for everyone; ``currency``: of amounts in charts.
    """

    months: tuple[date, ...]
    before: date
    owner: str
    currency: str


class PersonRow(NamedTuple):
    """A colleague with bars; ``text`` says them, ``note`` follows the total."""

    name: str
    text: str
    bars: tuple[Bar, ...]
    total: str
    note: str


class PeopleChart(msgspec.Struct, frozen=True, kw_only=True):
    """Bars by colleague."""

    title: str
    rows: tuple[PersonRow, ...]
    legend: tuple[LegendEntry, ...]
    table: Table


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report. Without data it has no chart, but ``empty``: a sentence. ``csv``: a head, and rows without formats."""

    name: str
    title: str
    sub: str
    columns: Chart | None = None
    people: PeopleChart | None = None
    empty: str = ""
    csv: tuple[tuple[object, ...], ...] = ()


async def rows_in(
    context: PageContext, record_type: RecordType, chosen: ReportFilter, *, archived: bool = False
) -> Sequence[Row]:
    """The records of a type that belong to the chosen owner; none of a type without owners if one is chosen."""
    of_type = TypeRows(context, record_type)
    rows = await of_type.all(archived=archived)
    return await rows_of(rows, of_type.value(record_type.OWNER), chosen.owner) if chosen.owner else rows


def summed_up(total: str, month: str, most: str) -> str:
    """The sentence that describes a chart of one sum by month."""
    return gettext("{sum} in all. The highest month is {month} with {amount}.", sum=total, month=month, amount=most)


def people_bars(values: Iterable[tuple[str, int]], most: int) -> tuple[Bar, ...]:
    """The parts of a colleague's bar, by fill; the longest bar of all has ``most``."""
    bars, x = [], 0.0
    for fill, value in values:
        if value:
            width = 100 * value / max(most, 1)
            bars.append(Bar(fill, round(x, 2), 0, round(max(width - 0.4, 0.6), 2), 0))
            x += width
    return tuple(bars)

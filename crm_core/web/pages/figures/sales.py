"""Records as sales: which are open, and when the others were decided, by what their type says and the change log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from crm_core.model.times import from_wire
from crm_core.model.turns import chosen_in_turns, in_turns
from crm_core.plugin.record_type import Pipeline, RecordType
from crm_core.records.figures import Row
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import TypeRows


class Sales:
    """The sales of a type with a PIPELINE."""

    def __init__(self, context: PageContext, record_type: RecordType, pipeline: Pipeline) -> None:
        self._rows = TypeRows(context, record_type)
        self._zone, self._start_of = context.formats.regional.zone, context.formats.start_of
        self._pipeline = pipeline
        self.stage, self.closes_on = self._rows.value(pipeline.stage), self._rows.value(pipeline.closes_on)
        self._ended = frozenset(pipeline.won + pipeline.lost)
        choices = record_type.member(pipeline.stage).choices
        self.open_stages = tuple(value for value, _ in choices if value not in self._ended)

    def is_open(self, row: Row) -> bool:
        """Whether a sale is neither won nor lost."""
        return self.stage(row) not in self._ended

    def is_won(self, row: Row) -> bool:
        """Whether a sale is won."""
        return self.stage(row) in self._pipeline.won

    async def decided(self, rows: Sequence[Row], first: date) -> dict[str, date]:
        """The day on which each sale was won or lost, by id, of those decided on this day or later.

        A sale that was entered as won or lost was decided on the day it closes on, at the latest when it was entered.
        """
        start = self._start_of(first)
        ended = await chosen_in_turns(rows, lambda row: row.updated_at >= start and not self.is_open(row))
        moments = await self._rows.since(ended, self._pipeline.stage)
        found: dict[str, date] = {}
        async for some in in_turns(ended):
            for row in some:
                day = self._day(moments[row.id]) or self._entered(row)
                if day >= first:
                    found[row.id] = day
        return found

    def _day(self, moment: str | None) -> date | None:
        return None if moment is None else from_wire(moment).astimezone(self._zone).date()

    def _entered(self, row: Row) -> date:
        created = from_wire(row.created_at).astimezone(self._zone).date()
        closes_on = self.closes_on(row)
        return created if closes_on is None else min(created, date.fromisoformat(closes_on))


def month_of(day: date) -> date:
    """The first day of a day's month."""
    return day.replace(day=1)


def month_after(month: date, count: int = 1) -> date:
    """The first day of the month so many months later, or earlier."""
    years, at = divmod(month.year * 12 + month.month - 1 + count, 12)
    return date(years, at + 1, 1)

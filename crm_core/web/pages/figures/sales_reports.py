"""Reports of a type with a PIPELINE: open sales by stage and month, won against lost, and their sums."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from crm_core.language import gettext, ngettext, noun
from crm_core.model.turns import in_turns
from crm_core.plugin.record_type import Pipeline, RecordType
from crm_core.web.pages.figures.amounts import Amounts
from crm_core.web.pages.figures.charts import Series, Table, column_chart, month_names, short_money
from crm_core.web.pages.figures.report import FILLS, Report, ReportFilter, rows_in, summed_up
from crm_core.web.pages.figures.sales import Sales, month_after, month_of
from crm_core.web.pages.layout.formats import Formats
from crm_core.web.pages.layout.labels import choice_labels
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import counted


class Figure(NamedTuple):
    """A number on top of the page; ``better``: it has grown."""

    title: str
    value: str
    note: str
    better: bool = False


class SalesReports(NamedTuple):
    """The reports of one type, the numbers on top of the page, and the sales that they leave out, by currency."""

    figures: tuple[Figure, ...]
    reports: tuple[Report, ...]
    others: Counter[str]


class _Total(msgspec.Struct):
    """A number of sales and what they amount to: their number again for a type without amounts."""

    count: int = 0
    sum: Decimal = Decimal()

    def add(self, amount: Decimal) -> None:
        self.count += 1
        self.sum += amount


async def sales_reports(
    context: PageContext, record_type: RecordType, pipeline: Pipeline, chosen: ReportFilter
) -> SalesReports:
    """The reports of a type with a PIPELINE."""
    sales, amounts = Sales(context, record_type, pipeline), Amounts(context, record_type)
    rows = await rows_in(context, record_type, chosen)
    decided = await sales.decided(rows, chosen.before)
    others = Counter[str]()
    made = _SalesReports(context, record_type, pipeline, chosen, amounts)
    async for some in in_turns(rows):
        for row in some:
            is_open, day = sales.is_open(row), decided.get(row.id)
            if not is_open and day is None:
                continue
            if amounts.exist and amounts.currency(row) != chosen.currency:
                if day is None or day >= chosen.months[0]:
                    others[amounts.currency(row)] += 1
                continue
            amount = (amounts.of(row) or Decimal()) if amounts.exist else Decimal(1)
            if day is None:
                made.add_open(sales.stage(row), sales.closes_on(row), amount)
            else:
                made.ended[month_of(day), sales.is_won(row)].add(amount)
    return SalesReports(made.figures(), (made.pipeline(), made.decided()), others)


class _SalesReports:
    """``ended``: the sales by the month in which they were decided, and whether they were won."""

    def __init__(
        self, context: PageContext, record_type: RecordType, pipeline: Pipeline, chosen: ReportFilter, amounts: Amounts
    ) -> None:
        self._context, self._type, self._pipeline, self._chosen = context, record_type, pipeline, chosen
        self._amounts = amounts
        self._title = noun(context.title_of(record_type))
        this_month = month_of(context.formats.now.date())
        self._coming = [month_after(this_month, at) for at in range(len(chosen.months))]
        self._first, self._last = _sign(self._coming[0]), _sign(self._coming[-1])
        self._open, self._by_stage = _Total(), defaultdict[tuple[str, str], _Total](_Total)
        self._outside = 0
        self.ended = defaultdict[tuple[date, bool], _Total](_Total)

    def add_open(self, stage: str, closes_on: str | None, amount: Decimal) -> None:
        """Add an open sale; one whose day has passed counts in this month."""
        self._open.add(amount)
        month = max(closes_on[:7], self._first) if closes_on else "9999"
        if month > self._last:
            self._outside += 1
        else:
            self._by_stage[stage, month].add(amount)

    def _text(self, value: Decimal | int) -> str:
        if not self._amounts.exist:
            return self._context.formats.number(int(value))
        return self._amounts.money(Decimal(value), self._chosen.currency)

    def _short(self, most: Decimal | int) -> Callable[[Decimal | int], str]:
        most = Decimal(most)
        return short_money(self._context.formats, self._chosen.currency, most) if self._amounts.exist else self._text

    def _within(self, months: Iterable[date], *, won: bool) -> _Total:
        """The sales decided in these months."""
        totals = [self.ended[month, won] for month in months]
        return _Total(sum(one.count for one in totals), sum((one.sum for one in totals), Decimal()))

    def figures(self) -> tuple[Figure, ...]:
        """Won, lost, the win rate, and open."""
        months, number = self._chosen.months, self._context.formats.number
        won, lost = (self._within(months, won=one) for one in (True, False))
        count = len(months)
        before = self._within((month_after(self._chosen.before, at) for at in range(count)), won=True)
        change = won.sum - before.sum
        text = self._text(abs(change))
        if change > 0:
            note = ngettext(
                "{amount} more than the month before", "{amount} more than the {n} months before", count, amount=text
            )
        elif change < 0:
            note = ngettext(
                "{amount} less than the month before", "{amount} less than the {n} months before", count, amount=text
            )
        else:
            note = ngettext("as much as the month before", "as much as the {n} months before", count)
        decided = gettext("{won} of {decided} decided", won=number(won.count), decided=number(won.count + lost.count))
        return (
            Figure(gettext("Won"), self._text(won.sum), note, better=change > 0),
            Figure(gettext("Lost"), self._text(lost.sum), self._counted(lost.count)),
            Figure(gettext("Win rate"), _rate(self._context.formats, won, lost), decided),
            Figure(gettext("Open"), self._text(self._open.sum), self._counted(self._open.count)),
        )

    def _counted(self, count: int) -> str:
        return counted(self._context, self._type, count)

    def pipeline(self) -> Report:
        """Open sales by stage and the month in which they are expected to close."""
        count = len(self._coming)
        sub = ngettext(
            "Open {records} by expected close, this month",
            "Open {records} by expected close, next {n} months",
            count,
            records=self._title,
        )
        if self._outside:
            outside = self._context.formats.number(self._outside)
            sub += " · " + gettext("{n} later or without a date", n=outside)
        empty = gettext(
            "No open {records} close in these months. Give them a closing date to see them here.", records=self._title
        )
        report = Report(name=f"{self._type.NAME}-pipeline", title=gettext("Pipeline by stage and month"), sub=sub)
        if not self._by_stage:
            return replace(report, empty=empty)
        return self._by_month(report)

    def _by_month(self, report: Report) -> Report:
        """The report of open sales with its chart."""
        formats, months, ended = self._context.formats, self._coming, self._pipeline.won + self._pipeline.lost
        choices = choice_labels(self._type.member(self._pipeline.stage))
        stages = [(value, title) for value, title in choices if value not in ended]
        values = [[self._by_stage[stage, _sign(month)].sum for month in months] for stage, _ in stages]
        labels, columns = [formats.month(month) for month in months], list(zip(*values, strict=True))
        sums = [sum(column) for column in columns]
        head = (gettext("Month"), *(title for _, title in stages))
        rows = [
            (label, *map(self._text, column), self._text(total))
            for label, column, total in zip(labels, columns, sums, strict=True)
        ]
        foot = (gettext("Sum"), *(self._text(sum(one)) for one in values), self._text(sum(sums)))
        chart = column_chart(
            report.title,
            summed_up(self._text(sum(sums)), labels[sums.index(max(sums))], self._text(max(sums))),
            [(formats.month_sign(month), label) for month, label in zip(months, labels, strict=True)],
            [Series(title, FILLS[at % len(FILLS)], values[at]) for at, (_, title) in enumerate(stages)],
            text=self._text,
            short=self._short(max(sums)),
            table=Table((*head, gettext("Sum")), tuple(rows), foot),
            stacked=True,
        )
        csv = ((f"{month:%Y-%m}", *column, self._currency()) for month, column in zip(months, columns, strict=True))
        return replace(report, columns=chart, csv=((*head, gettext("Currency")), *csv))

    def decided(self) -> Report:
        """Won against lost by the month in which they were decided."""
        formats, months = self._context.formats, self._chosen.months
        split = [tuple(self.ended[month, won] for won in (True, False)) for month in months]
        report = Report(
            name=f"{self._type.NAME}-decided",
            title=gettext("Won and lost"),
            sub=gettext("By the month in which it was decided"),
        )
        if not any(won.count or lost.count for won, lost in split):
            empty = gettext("No {records} were won or lost in this period. Choose a longer one.", records=self._title)
            return replace(report, empty=empty)
        labels = month_names(formats, months)
        rows = [
            (label, self._text(won.sum), self._text(lost.sum), _rate(formats, won, lost))
            for label, (won, lost) in zip(labels, split, strict=True)
        ]
        won, lost = (self._within(months, won=one) for one in (True, False))
        sums = self._text(won.sum), self._text(lost.sum)
        head = (gettext("Month"), gettext("Won"), gettext("Lost"), gettext("Win rate"))
        chart = column_chart(
            report.title,
            gettext("{won} won and {lost} lost.", won=sums[0], lost=sums[1]),
            [(formats.month_sign(month), label) for month, label in zip(months, labels, strict=True)],
            [Series(head[at + 1], fill, [pair[at].sum for pair in split]) for at, fill in enumerate(("f-ok", "f-no"))],
            text=self._text,
            short=self._short(max(one.sum for pair in split for one in pair)),
            table=Table(head, tuple(rows), (gettext("Sum"), *sums, _rate(formats, won, lost))),
        )
        csv = (
            (f"{month:%Y-%m}", *(total.sum for total in pair), self._currency())
            for month, pair in zip(months, split, strict=True)
        )
        return replace(report, columns=chart, csv=((*head[:3], gettext("Currency")), *csv))

    def _currency(self) -> str:
        """The unit of the sums; empty if they are numbers of records."""
        return self._chosen.currency if self._amounts.exist else ""


def _rate(formats: Formats, won: _Total, lost: _Total) -> str:
    """The part of the decided sales that was won."""
    decided = won.count + lost.count
    return formats.regional.percent(won.count / decided) if decided else "\N{EN DASH}"


def _sign(month: date) -> str:
    """A month as dates of records begin."""
    return f"{month:%Y-%m}"

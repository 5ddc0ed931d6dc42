"""The day in sales: my open ones by stage, those closing this month, and what was won this month against the last."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode

import msgspec

from crm_core.language import gettext, noun
from crm_core.model.turns import chosen_in_turns, in_turns
from crm_core.plugin.record_type import Pipeline, RecordType
from crm_core.records.figures import Row
from crm_core.web.pages.figures.amounts import Amounts
from crm_core.web.pages.figures.charts import Chart, Series, Table, column_chart, month_names, short_money
from crm_core.web.pages.figures.sales import Sales, month_after, month_of
from crm_core.web.pages.layout.labels import choice_labels
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.board_rows import rows_of
from crm_core.web.pages.records.queries import TypeRows, counted

_MONTHS: Final = 6


class Meter(msgspec.Struct, frozen=True):
    """A lane or stage at a glance; ``share`` is the percentage of the fullest."""

    title: str
    count: str
    sums: tuple[str, ...]
    share: int


class MySales(msgspec.Struct, frozen=True, kw_only=True):
    """My open sales of a type, and what everyone won by month. ``more``: how the sum differs from the last month's."""

    title: str
    my_open: str
    none_open: str
    open: str
    open_sums: tuple[str, ...]
    open_text: str
    stages: tuple[Meter, ...]
    board: str
    closing: str
    closing_sums: tuple[str, ...]
    closing_by: str
    closing_href: str
    won: str
    won_sums: tuple[str, ...]
    more: str
    is_more: bool
    sentence: str
    chart: Chart | None


async def meters_of(
    context: PageContext, record_type: RecordType, name: str, rows: Sequence[Row], without: Collection[str] = ()
) -> tuple[Meter, ...]:
    """The lanes or stages that the records are in by a member, each with their number and sums."""
    amounts, value_of = Amounts(context, record_type), TypeRows(context, record_type).value(name)
    titles = {value: title for value, title in choice_labels(record_type.member(name)) if value not in without}
    found: dict[str, list[Row]] = {value: [] for value in titles}
    async for some in in_turns(rows):
        for row in some:
            found.get(value_of(row), []).append(row)
    most, number = max(map(len, found.values()), default=0) or 1, context.formats.number
    sums = {value: amounts.texts(await amounts.sums(found[value])) for value in titles if found[value]}
    return tuple(
        Meter(title, number(len(found[value])), sums.get(value, ()), round(100 * len(found[value]) / most))
        for value, title in titles.items()
    )


class SalesDay:
    """The day in sales of a type whose records have owners."""

    def __init__(self, context: PageContext, record_type: RecordType, pipeline: Pipeline) -> None:
        self._context, self._type, self._pipeline = context, record_type, pipeline
        self._sales, self._amounts = Sales(context, record_type, pipeline), Amounts(context, record_type)
        self._today = context.formats.now.date()

    async def view(self) -> MySales:
        """The sales for the page."""
        context, formats, amounts = self._context, self._context.formats, self._amounts
        of_type = TypeRows(context, self._type)
        rows, owner = await of_type.all(), of_type.value(self._type.OWNER)
        mine = await chosen_in_turns(await rows_of(rows, owner, context.caller.email), self._sales.is_open)
        month = self._today.isoformat()[:7]
        closing = await chosen_in_turns(mine, lambda row: (self._sales.closes_on(row) or "")[:7] == month)
        months = [month_after(month_of(self._today), at) for at in range(1 - _MONTHS, 1)]
        won = await self._won(rows, months)
        sums = {month: await amounts.sums(won[month]) for month in months}
        more, is_more = self._compared(sums[months[-1]], sums[months[-2]], months[-2])
        board = f"{context.root}/{self._type.NAME}/board"
        me = {self._type.OWNER or "": context.caller.email}
        open_sums = amounts.texts(await amounts.sums(mine)) if mine else ()
        return MySales(
            title=context.title_of(self._type),
            my_open=gettext("My open {records}", records=noun(context.title_of(self._type))),
            none_open=gettext("You have no open {records}", records=noun(context.title_of(self._type))),
            open=formats.number(len(mine)),
            open_sums=open_sums,
            open_text=" · ".join((counted(context, self._type, len(mine)), *open_sums)),
            stages=await meters_of(
                context, self._type, self._pipeline.stage, mine, self._pipeline.won + self._pipeline.lost
            ),
            board=f"{board}?{urlencode(me)}" if self._type.LANES else f"{context.root}/{self._type.NAME}",
            closing=formats.number(len(closing)),
            closing_sums=amounts.texts(await amounts.sums(closing)) if closing else (),
            closing_by=formats.day(month_after(month_of(self._today)) - date.resolution).short,
            closing_href=f"{board}?{urlencode({**me, 'closing': 'month'})}",
            won=gettext("{stage} this month", stage=self._won_name()),
            won_sums=amounts.texts(sums[months[-1]]) or (formats.number(len(won[months[-1]])),),
            more=more,
            is_more=is_more,
            sentence=self._sentence(won, sums, months),
            chart=self._chart(won, sums, months) if amounts.exist and any(won.values()) else None,
        )

    async def _won(self, rows: tuple[Row, ...], months: list[date]) -> dict[date, list[Row]]:
        decided = await self._sales.decided(rows, months[0])
        won: dict[date, list[Row]] = {month: [] for month in months}
        async for some in in_turns(rows):
            for row in some:
                day = decided.get(row.id)
                if day is not None and self._sales.is_won(row):
                    won.get(month_of(day), []).append(row)
        return won

    def _won_name(self) -> str:
        """The name of the stage in which sales are won."""
        titles = dict(choice_labels(self._type.member(self._pipeline.stage)))
        return titles[self._pipeline.won[0]] if len(self._pipeline.won) == 1 else gettext("Won")

    def _compared(self, now: Mapping[str, Decimal], before: Mapping[str, Decimal], month: date) -> tuple[str, bool]:
        """How the sum in the workspace's currency differs from the month before."""
        if not self._amounts.exist:
            return "", False
        currency = self._context.branding.regional.currency
        difference = now.get(currency, Decimal()) - before.get(currency, Decimal())
        name = self._context.formats.month(month)
        if not difference:
            return gettext("as much as in {month}", month=name), False
        text = self._amounts.money(abs(difference), currency)
        if difference > 0:
            return gettext("{amount} more than in {month}", amount=text, month=name), True
        return gettext("{amount} less than in {month}", amount=text, month=name), False

    def _sentence(
        self, won: Mapping[date, list[Row]], sums: Mapping[date, Mapping[str, Decimal]], months: list[date]
    ) -> str:
        context, (before, now) = self._context, months[-2:]
        this, last = (" · ".join(self._amounts.texts(sums[month])) for month in (now, before))
        name, number = context.formats.month(before), context.formats.number(len(won[before]))
        if not self._amounts.exist:
            this, last = (context.formats.number(len(won[month])) for month in (now, before))
        sentence = gettext("{amount} from {records}.", amount=this, records=counted(context, self._type, len(won[now])))
        if not won[before]:
            return f"{sentence} {gettext('Nothing in {month}.', month=name)}"
        whole = gettext("All of {month}: {amount} from {n}.", month=name, amount=last, n=number)
        return f"{sentence} {whole}"

    def _chart(
        self, won: Mapping[date, list[Row]], sums: Mapping[date, Mapping[str, Decimal]], months: list[date]
    ) -> Chart:
        formats, currency = self._context.formats, self._context.branding.regional.currency
        values = [sums[month].get(currency, Decimal()) for month in months]
        names = month_names(formats, months)
        won_name = self._won_name()
        title = gettext("{stage} by month", stage=won_name)
        money = self._amounts.money
        rows = [
            (name, ", ".join(self._amounts.texts(sums[month])), formats.number(len(won[month])))
            for name, month in zip(names, months, strict=True)
        ]
        return column_chart(
            title,
            f"{names[-1]}: {money(values[-1])}. {names[-2]}: {money(values[-2])}.",
            [(formats.month_sign(month), name) for month, name in zip(months, names, strict=True)],
            [Series(noun(won_name), "f4", values)],
            text=lambda amount: money(Decimal(amount)),
            short=short_money(formats, currency, max(values)),
            table=Table((gettext("Month"), won_name, self._context.title_of(self._type)), tuple(rows), ()),
            base=108,
            now="f1",
        )

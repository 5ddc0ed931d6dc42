"""The reports of a workspace: one period, owner and currency for all, each with its chart, its table and its CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Final

from crm_core.errors import NotFound
from crm_core.language import gettext, gettext_noop, ngettext
from crm_core.model.currencies import CURRENCIES
from crm_core.model.spreadsheet import BOM, lines
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.browser import Response, csv_file, request
from crm_core.web.pages.figures.new_records import new_records_report
from crm_core.web.pages.figures.people_reports import activity_report, overdue_report
from crm_core.web.pages.figures.report import Report, ReportFilter
from crm_core.web.pages.figures.sales import month_after, month_of
from crm_core.web.pages.figures.sales_reports import SalesReports, sales_reports
from crm_core.web.pages.layout.frame import title_of
from crm_core.web.pages.layout.parts import PageLink, PeriodLink, with_query
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.list_view import Filter
from crm_core.web.pages.records.picking import matches_of

MODULE: Final = "reports"
_PERIODS: Final = {
    "month": (1, gettext_noop("Month")),
    "quarter": (3, gettext_noop("3 months")),
    "half": (6, gettext_noop("6 months")),
    "year": (12, gettext_noop("12 months")),
}
_USUAL: Final = "half"
_TYPED: Final = "owner:text"


async def reports(context: PageContext) -> Response:
    """The page of the reports."""
    if _TYPED in request.args:  # without script, or with a name that was not chosen
        return redirect(context, await _chosen(context))
    return await page(context, MODULE, await _Reports(context).view())


async def exported(context: PageContext) -> Response:
    """One report as CSV, or all of them, one below the other. Raises NotFound."""
    made = await _Reports(context).all()
    name = request.args.get("report", "")
    found = [one for one in made if one.csv and name in ("", one.name)]
    if name and not found:
        raise NotFound(gettext_noop("There is no data for this report."))
    rows: list[tuple[object, ...]] = []
    for one in found:
        rows += one.csv if name else [(one.title,), *one.csv, ()]
    return csv_file(BOM + lines([map(_plain, row) for row in rows]), name or MODULE)


async def _chosen(context: PageContext) -> str:
    """The address with the colleague whose name was typed."""
    named = {name: value for name, value in request.args.items() if name != _TYPED and value}
    typed, owned = request.args[_TYPED].strip(), _owned(_types(context))
    if typed and "owner" not in named and owned and owned.OWNER:
        items = (await matches_of(context, owned.member(owned.OWNER), typed, 1)).items
        if items:
            named["owner"] = items[0].value
    return with_query(f"/{MODULE}", named)


def _types(context: PageContext) -> list[RecordType]:
    """The types whose records the user may view."""
    types = context.services.registry.record_types
    return [one for one in types.values() if context.may(f"{one.NAME}.view")]


def _owned(types: list[RecordType]) -> RecordType | None:
    """The first type whose records have owners."""
    return next((one for one in types if one.OWNER), None)


def _plain(value: object) -> object:
    """A value of a cell: an amount as its digits."""
    return str(value) if isinstance(value, Decimal) else value


class _Reports:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._types = _types(context)
        period = request.args.get("period", "")
        self._period = period if period in _PERIODS else _USUAL
        count = _PERIODS[self._period][0]
        now = month_of(context.formats.now.date())
        currency = request.args.get("currency", "")
        self._own = context.branding.regional.currency
        self._filter = ReportFilter(
            months=tuple(month_after(now, at) for at in range(1 - count, 1)),
            before=month_after(now, 1 - 2 * count),
            owner=request.args.get("owner", "")[:200],
            currency=currency if currency in CURRENCIES else self._own,
        )
        self._sales: list[SalesReports] = []

    async def all(self) -> list[Report]:
        """Every report."""
        for one in self._types:
            if one.PIPELINE:
                self._sales.append(await sales_reports(self._context, one, one.PIPELINE, self._filter))
        made = [report for each in self._sales for report in each.reports]
        made += [await new_records_report(self._context, one, self._filter) for one in self._referred()]
        activity = await activity_report(self._context, self._types, self._filter)
        made += [activity] if activity else []
        return made + [report async for report in self._overdue()]

    def _referred(self) -> Iterator[RecordType]:
        """The types that sales refer to: those that are sold to."""
        names = {each.record_type for one in self._types if one.PIPELINE for each in one.REFERENCES}
        return (one for one in self._types if one.NAME in names)

    async def _overdue(self) -> AsyncIterator[Report]:
        for one in self._types:
            if one.DUE and one.DUE.done:
                yield await overdue_report(self._context, one, self._filter)

    async def view(self) -> PageView:
        """The page."""
        context, chosen, made = self._context, self._filter, await self.all()
        formats, path = context.formats, f"{context.root}/{MODULE}"
        owned = _owned(self._types)
        first = formats.day(chosen.months[0]).full
        name = await context.names.colleague(chosen.owner) if chosen.owner else gettext("everyone")
        return PageView(
            "reports.html",
            title=title_of(context.workspace.modules.states[MODULE]),
            sub=gettext(
                "{first} to {today} · {owner} · in {currency}",
                first=first,
                today=formats.day(formats.now.date()).full,
                owner=name,
                currency=chosen.currency,
            ),
            path=path,
            periods=tuple(
                PeriodLink(self._address(path, period=name), gettext(text), name == self._period)
                for name, (_, text) in _PERIODS.items()
            ),
            period=self._period,
            module=owned.NAME if owned else "",
            owner_member=(owned.OWNER or "") if owned else "",
            owner=Filter("owner", gettext("Owner"), chosen.owner, picked=True, shown=name if chosen.owner else ""),
            currency=chosen.currency if chosen.currency != self._own else "",
            left_out=tuple(self._left_out(path)),
            figures=tuple(figure for each in self._sales[:1] for figure in each.figures),
            reports=tuple(made),
            export=self._address(f"{path}/export.csv")
            if context.may("reports.export") and any(one.csv for one in made)
            else "",
        )

    def _left_out(self, path: str) -> Iterator[PageLink]:
        """The sales in other currencies, with the address that shows them."""
        for currency, count in sorted(sum((each.others for each in self._sales), Counter[str]()).items()):
            text = ngettext(
                "{n} in {currency} is left out",
                "{n} in {currency} are left out",
                count,
                n=self._context.formats.number(count),
                currency=currency,
            )
            yield PageLink(self._address(path, currency=currency), text)

    def _address(self, path: str, **changes: str) -> str:
        """An address with the period, owner and currency of this page, some of them changed."""
        named = {
            "period": self._period if self._period != _USUAL else "",
            "owner": self._filter.owner,
            "currency": self._filter.currency if self._filter.currency != self._own else "",
            **changes,
        }
        return with_query(path, {name: value for name, value in named.items() if value})

"""The report of new records by month, such as customers: those that a sale refers to."""

from __future__ import annotations

from bisect import bisect_right

from msgspec.structs import replace

from crm_core.language import gettext, noun
from crm_core.model.turns import in_turns
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.figures.charts import Series, Table, column_chart, month_names
from crm_core.web.pages.figures.report import Report, ReportFilter, rows_in, summed_up
from crm_core.web.pages.page_context import PageContext


async def new_records_report(context: PageContext, one: RecordType, chosen: ReportFilter) -> Report:
    """New records of a type by the month of their creation, archived ones included."""
    formats, months = context.formats, chosen.months
    starts = [formats.start_of(month) for month in months]
    counts = [[0, 0] for _ in months]  # by colleagues, and by other systems
    async for some in in_turns(await rows_in(context, one, chosen, archived=True)):
        for row in some:  # of types with many records: a line more is felt
            if row.created_at >= starts[0]:
                counts[bisect_right(starts, row.created_at) - 1][row.created_by[:5] != "user:"] += 1
    records = noun(context.title_of(one))
    report = Report(
        name=f"{one.NAME}-new",
        title=gettext("New {records}", records=records),
        sub=gettext("By month of creation, archived ones included"),
    )
    values = [sum(count) for count in counts]
    total = sum(values)
    if not total:
        return replace(report, empty=gettext("No {records} were created in this period.", records=records))
    labels = month_names(formats, months)
    most = max(values)
    number = formats.number
    head = (gettext("Month"), gettext("By people"), gettext("By other systems"), gettext("Sum"))
    rows = [(label, *map(number, count), number(sum(count))) for label, count in zip(labels, counts, strict=True)]
    sums = [sum(count[at] for count in counts) for at in (0, 1)]
    chart = column_chart(
        report.title,
        summed_up(number(total), labels[values.index(most)], number(most)),
        [(formats.month_sign(month), label) for month, label in zip(months, labels, strict=True)],
        [Series(report.title, "f1", values)],
        text=lambda value: number(int(value)),
        short=lambda value: number(int(value)),
        table=Table(head, tuple(rows), (gettext("Sum"), *map(number, sums), number(total))),
    )
    csv = (head, *((f"{month:%Y-%m}", *count, sum(count)) for month, count in zip(months, counts, strict=True)))
    return replace(report, columns=chart, csv=csv)

"""Attempts over time as a chart, by outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from crm_core.language import gettext, gettext_noop
from crm_core.model.log import LogEntry
from crm_core.model.times import from_wire
from crm_core.web.pages.figures.charts import Chart, Series, Table, column_chart
from crm_core.web.pages.layout.formats import RegionalFormat
from crm_core.web.pages.sync.outcomes import outcome_of

FILLS: Final = {"applied": "f-ok", "unchanged": "f4", "rejected": "f-rejected", "failed": "f-failed"}
"""The outcomes that the chart shows, with the classes of their bars."""


class Period(msgspec.Struct, frozen=True):
    """A period and the length of its buckets; each ``every``-th bucket has a label."""

    name: str
    text: str
    span: timedelta
    bucket: timedelta
    every: int
    unit: str


PERIODS: Final = (
    Period("24h", gettext_noop("24 h"), timedelta(hours=24), timedelta(hours=1), 3, gettext_noop("Hour")),
    Period("7d", gettext_noop("7 days"), timedelta(days=7), timedelta(hours=6), 4, gettext_noop("Six hours")),
    Period("30d", gettext_noop("30 days"), timedelta(days=30), timedelta(days=1), 5, gettext_noop("Day")),
)


def chart_of(
    entries: Iterable[LogEntry], period: Period, now: datetime, regional: RegionalFormat, *, cut: bool
) -> Chart:
    """The chart of the attempts of a period; its table leaves empty buckets out. ``cut``: older ones were not read."""
    start, buckets = _buckets(period, now, regional)
    counts = [dict.fromkeys(FILLS, 0) for _ in range(buckets)]
    for entry in entries:
        at = int((from_wire(entry.received_at) - start) / period.bucket)
        if 0 <= at < buckets and entry.status in FILLS:
            counts[at][entry.status] += entry.count
    names = [_name(start + period.bucket * at, period, regional) for at in range(buckets)]
    series = [
        Series(outcome_of(status).text, fill, [count[status] for count in counts]) for status, fill in FILLS.items()
    ]
    rows = (
        (name, *map(str, count.values())) for (name, _), count in zip(names, counts, strict=True) if any(count.values())
    )
    return column_chart(
        gettext("Sync attempts: {period}", period=gettext(period.text)),
        _summary(series, [name for name, _ in names], cut=cut),
        [("" if at % period.every else label, name) for at, (name, label) in enumerate(names)],
        series,
        text=str,
        short=str,
        table=Table((gettext(period.unit), *(one.name for one in series)), tuple(rows)[::-1], ()),
        stacked=True,
        left=4,
        base=148,
    )


def _buckets(period: Period, now: datetime, regional: RegionalFormat) -> tuple[datetime, int]:
    """The start of the first bucket, in the tenant's time zone, and the number of buckets."""
    local = now.astimezone(regional.zone)
    hours = int(period.bucket.total_seconds() // 3600)
    end = local.replace(minute=0, second=0, microsecond=0, hour=local.hour - local.hour % hours) + period.bucket
    count = int(period.span / period.bucket)
    return end - period.bucket * count, count


def _name(at: datetime, period: Period, regional: RegionalFormat) -> tuple[str, str]:
    """A bucket's full name and its label."""
    day = regional.day(at.date(), year=False)
    if period.bucket >= timedelta(days=1):
        return day, day
    clock = f"{at:%H:%M}"
    return f"{day}, {clock}", clock if period.span <= timedelta(days=1) else day


def _summary(series: Sequence[Series], names: Sequence[str], *, cut: bool) -> str:
    sums = [sum(values) for values in zip(*(one.values for one in series), strict=True)]
    if not any(sums):
        return gettext("No attempts in this period.")
    outcomes = ", ".join(f"{one.name} {sum(one.values)}" for one in series)
    most = sums.index(max(sums))
    text = gettext("{outcomes}. Most at {time}: {n}.", outcomes=outcomes, time=names[most], n=sums[most])
    return text + " " + gettext("Only the newest attempts are shown.") if cut else text

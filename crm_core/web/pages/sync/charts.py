"""Attempts over time as a chart, by outcome."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
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
    starts = _starts(period, now, regional)
    moments = [start.astimezone(UTC) for start in starts]
    counts = [dict.fromkeys(FILLS, 0) for _ in starts]
    for entry in entries:
        at = bisect_right(moments, from_wire(entry.received_at)) - 1
        if at >= 0 and entry.status in FILLS:
            counts[at][entry.status] += entry.count
    names = [_name(start, period, regional) for start in starts]
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


def _starts(period: Period, now: datetime, regional: RegionalFormat) -> list[datetime]:
    """When each bucket begins by the tenant's clock; one in which the clock changes is longer or shorter."""
    local = now.astimezone(regional.zone)
    hours = int(period.bucket.total_seconds() // 3600)
    last = local.replace(minute=0, second=0, microsecond=0, hour=local.hour - local.hour % hours, fold=0)
    return [last - period.bucket * before for before in reversed(range(int(period.span / period.bucket)))]


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

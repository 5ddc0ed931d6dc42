"""Attempts over time as a bar chart. It fits every width: x in per cent, y and text in pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from crm_core.language import gettext, gettext_noop
from crm_core.model.log import LogEntry
from crm_core.model.times import from_wire
from crm_core.web.pages.figures.charts import Bar, Line, round_numbers
from crm_core.web.pages.layout.formats import RegionalFormat

SHOWN: Final = {
    "applied": gettext_noop("applied"),
    "unchanged": gettext_noop("unchanged"),
    "rejected": gettext_noop("rejected"),
    "failed": gettext_noop("failed"),
}
_LEFT, _TOP, _BASE = 4.0, 12, 148  # per cent, pixels, pixels
_MOST_TICKS: Final = 4  # above 0
_ROUND: Final = (1, 2, 5)


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


class Total(msgspec.Struct, frozen=True):
    """The attempts with one outcome."""

    name: str
    text: str
    count: int


class BucketBar(msgspec.Struct, frozen=True, kw_only=True):
    """The bar of a bucket: its parts from the bottom up, its text and its label."""

    x: float
    middle: float
    text: str
    label: str
    odd: bool
    parts: tuple[Bar, ...]


class ChartRow(msgspec.Struct, frozen=True):
    """A bucket in the table."""

    name: str
    applied: int
    unchanged: int
    rejected: int
    failed: int


class AttemptChart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart and its table, which leaves empty buckets out."""

    title: str
    summary: str
    unit: str
    step: float
    totals: tuple[Total, ...]
    ticks: tuple[Line, ...]
    bars: tuple[BucketBar, ...]
    rows: tuple[ChartRow, ...]


def chart_of(
    entries: Iterable[LogEntry], period: Period, now: datetime, regional: RegionalFormat, *, cut: bool
) -> AttemptChart:
    """The chart of the attempts of a period. ``cut``: older ones were not read."""
    start, buckets = _buckets(period, now, regional)
    counts = [dict.fromkeys(SHOWN, 0) for _ in range(buckets)]
    for entry in entries:
        at = int((from_wire(entry.received_at) - start) / period.bucket)
        if 0 <= at < buckets and entry.status in SHOWN:
            counts[at][entry.status] += entry.count
    names = [_name(start + period.bucket * at, period, regional) for at in range(buckets)]
    totals = tuple(Total(name, gettext(text), sum(count[name] for count in counts)) for name, text in SHOWN.items())
    ticks = round_numbers(max(sum(count.values()) for count in counts), _MOST_TICKS, _ROUND)
    step = (100 - _LEFT) / buckets
    return AttemptChart(
        title=gettext("Sync attempts: {period}", period=gettext(period.text)),
        summary=_summary(counts, names, totals, cut=cut),
        unit=gettext(period.unit),
        step=round(step, 3),
        totals=totals,
        ticks=tuple(Line(_y(tick, ticks[-1]), str(tick)) for tick in ticks),
        bars=tuple(
            _bar(at, counts[at], names[at], step=step, top=ticks[-1], every=period.every) for at in range(buckets)
        ),
        rows=tuple(
            ChartRow(names[at][0], *counts[at].values()) for at in reversed(range(buckets)) if any(counts[at].values())
        ),
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


def _y(value: int, top: int) -> int:
    return _BASE - round((_BASE - _TOP) * value / max(top, 1))


def _bar(at: int, counts: dict[str, int], names: tuple[str, str], *, step: float, top: int, every: int) -> BucketBar:
    x, parts, below = _LEFT + at * step, [], 0
    for name in SHOWN:
        if counts[name]:
            low, high = _y(below, top), _y(below + counts[name], top)
            parts.append(Bar(name, round(x + step * 0.2, 3), high, round(step * 0.6, 3), max(low - high - 1, 1)))
            below += counts[name]
    labelled = at % every == 0
    return BucketBar(
        x=round(x, 3),
        middle=round(x + step / 2, 3),
        text=f"{names[0]}: " + ", ".join(f"{counts[name]} {gettext(SHOWN[name])}" for name in SHOWN),
        label=names[1] if labelled else "",
        odd=labelled and at // every % 2 == 1,
        parts=tuple(parts),
    )


def _summary(
    counts: Sequence[dict[str, int]], names: Sequence[tuple[str, str]], totals: Sequence[Total], *, cut: bool
) -> str:
    sums = [sum(count.values()) for count in counts]
    if not any(sums):
        return gettext("No attempts in this period.")
    outcomes = ", ".join(f"{total.count} {total.text}" for total in totals)
    most = sums.index(max(sums))
    text = gettext("{outcomes}. Most at {time}: {n}.", outcomes=outcomes, time=names[most][0], n=sums[most])
    return text + " " + gettext("Only the newest attempts are shown.") if cut else text

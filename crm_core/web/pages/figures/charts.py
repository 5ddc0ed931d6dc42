"""Columns over time as a chart with its table. It fits every width: x in per cent, y and text in pixels."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from math import ceil
from typing import Final, NamedTuple

import msgspec

from crm_core.language import gettext
from crm_core.web.pages.layout.formats import Formats

_LEFT: Final = 13.0  # per cent, for the labels of the lines
_MOST_LINES: Final = 3
_ROUND: Final = (1, 2, 3, 4, 5, 8)
_LEAST_SHORT: Final = 10_000
_MILLIONS: Final = 10_000_000


class Series(NamedTuple):
    """Values of one kind, one for each column. ``fill``: the class of its bars."""

    name: str
    fill: str
    values: Sequence[Decimal | int]


class Line(NamedTuple):
    """A line of the grid."""

    y: int
    label: str


class Bar(NamedTuple):
    """A bar, or a part of a stacked one."""

    fill: str
    x: float
    y: int
    width: float
    height: int


class ChartColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column with its text; ``cap``: the value on top of it, at ``cap_y``. Some of many columns have no label."""

    x: float
    middle: float
    label: str
    text: str
    bars: tuple[Bar, ...]
    cap: str
    cap_y: int


class LegendEntry(NamedTuple):
    """A series in the legend with its sum."""

    name: str
    fill: str
    total: str


class Table(NamedTuple):
    """A table: the heads, the rows, the sums below them."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[str, ...]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart, with ``summary`` as the sentence that describes it. ``left``, ``base``: where its columns begin."""

    title: str
    summary: str
    left: float
    base: int
    top: int
    step: float
    lines: tuple[Line, ...]
    columns: tuple[ChartColumn, ...]
    legend: tuple[LegendEntry, ...]
    table: Table


def month_names(formats: Formats, months: Sequence[date]) -> list[str]:
    """The names of the months up to this one, which is not over."""
    *names, last = map(formats.month, months)
    return [*names, gettext("{month}, so far", month=last)]


def column_chart(
    title: str,
    summary: str,
    labels: Sequence[tuple[str, str]],
    series: Sequence[Series],
    *,
    text: Callable[[Decimal | int], str],
    short: Callable[[Decimal | int], str],
    table: Table,
    stacked: bool = False,
    left: float = _LEFT,
    base: int = 180,
    now: str = "",
) -> Chart:
    """A chart of series by column; ``labels``: the short and the full name of each; ``now``: the fill of the last."""
    sums = [sum(one.values[at] for one in series) for at in range(len(labels))]
    most = max(sums if stacked else [value for one in series for value in one.values], default=0)
    lines, top = round_numbers(most), 22
    scale = (base - top) / float(lines[-1] or 1)
    step = (100 - left) / max(len(labels), 1)
    columns = []
    for at, (label, full) in enumerate(labels):
        x = left + at * step
        bars = (_stack if stacked else _group)(series, at, _Place(x, step, base, scale))
        if now and at == len(labels) - 1:
            bars = [bar._replace(fill=now) for bar in bars]
        said = ", ".join(f"{one.name} {text(one.values[at])}" for one in series)
        alone = len(series) == 1
        columns.append(
            ChartColumn(
                x=round(x, 2),
                middle=round(x + step / 2, 2),
                label=label,
                text=f"{full}: {said}",
                bars=tuple(bars),
                cap=short(sums[at]) if alone and sums[at] else "",
                cap_y=base - round(float(sums[at]) * scale) - 5 if alone else 0,
            )
        )
    return Chart(
        title=title,
        summary=summary,
        left=left,
        base=base,
        top=top,
        step=round(step, 2),
        lines=tuple(Line(base - round(float(line) * scale), short(line) if line else "0") for line in lines),
        columns=tuple(columns),
        legend=tuple(LegendEntry(one.name, one.fill, text(sum(one.values))) for one in series)
        if len(series) > 1
        else (),
        table=table,
    )


class _Place(NamedTuple):
    """Where a column is drawn, and how many pixels one unit is high."""

    x: float
    step: float
    base: int
    scale: float


def _stack(series: Sequence[Series], at: int, place: _Place) -> list[Bar]:
    x, step, base, scale = place
    bars, below = [], 0.0
    for one in series:
        height = float(one.values[at]) * scale
        if height > 0:
            y = base - round(below + height)
            pixels = max(base - round(below) - y - 1, 1)  # a gap between two parts
            bars.append(Bar(one.fill, round(x + step * 0.19, 2), y, round(step * 0.62, 2), pixels))
            below += height
    return bars


def _group(series: Sequence[Series], at: int, place: _Place) -> list[Bar]:
    x, step, base, scale = place
    width = step * (0.62 if len(series) == 1 else 0.7) / len(series)
    start = x + (step - width * len(series)) / 2
    bars = []
    for number, one in enumerate(series):
        height = round(float(one.values[at]) * scale)
        if one.values[at] > 0:
            bars.append(
                Bar(
                    one.fill,
                    round(start + number * width, 2),
                    base - max(height, 1),
                    round(width * 0.94, 2),
                    max(height, 1),
                )
            )
    return bars


def round_numbers(most: Decimal | int) -> list[int]:
    """A few multiples of a round number, from 0 to at least ``most``."""
    sizes = (factor * 10**power for power in range(18) for factor in _ROUND)
    size = next(size for size in sizes if size * _MOST_LINES >= most)
    return [size * at for at in range(max(1, ceil(most / size)) + 1)]


def short_money(formats: Formats, currency: str, most: Decimal) -> Callable[[Decimal | int], str]:
    """Amounts in a chart whose greatest is ``most``: in thousands or millions if that is large, ``€48k``."""
    scale, sign = 1, ""
    if most >= _LEAST_SHORT:
        scale, sign = (1_000_000, "M") if most >= _MILLIONS else (1_000, "k")

    def text(amount: Decimal | int) -> str:
        whole = formats.money(Decimal(round(Decimal(amount) / scale)), currency)
        return re.sub(r"(\d)(?!.*\d)", rf"\1{sign}", whole)

    return text

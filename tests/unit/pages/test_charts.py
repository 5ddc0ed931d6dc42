from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from crm_core.model.presentation import Regional
from crm_core.web.pages.figures.charts import Series, Table, column_chart, short_money
from crm_core.web.pages.layout.formats import Formats, RegionalFormat

LABELS = [("Oct", "October"), ("Nov", "November, so far")]
NO_TABLE = Table((), (), ())


def formats(locale: str) -> Formats:
    return Formats(RegionalFormat(Regional(locale=locale, currency="EUR")), datetime(2026, 11, 24, tzinfo=UTC))


@pytest.mark.parametrize("most", [0, 1, 7, 99, 203_501, 999_999_999])
def test_the_highest_bar_ends_at_the_highest_line_or_below(most: int) -> None:
    """Bars stay inside the grid, whose lines are few and begin at zero."""
    chart = column_chart("T", "S", LABELS, [Series("won", "f1", [most, 0])], text=str, short=str, table=NO_TABLE)
    assert 2 <= len(chart.lines) <= 4
    assert chart.lines[0].y == chart.base
    assert all(bar.y >= chart.lines[-1].y == chart.top for column in chart.columns for bar in column.bars)


def test_stacked_bars_touch_without_overlap() -> None:
    """The parts of a stacked column do not overlap, and the column says each of them."""
    series = [Series("new", "f1", [30, 0]), Series("offer", "f2", [20, 5])]
    chart = column_chart("T", "S", LABELS, series, text=str, short=str, table=NO_TABLE, stacked=True)
    lower, upper = chart.columns[0].bars
    assert upper.y + upper.height <= lower.y
    assert chart.columns[0].text == "October: new 30, offer 20"
    assert [key.total for key in chart.legend] == ["30", "25"]


@pytest.mark.parametrize(
    ("locale", "most", "amount", "text"),
    [
        ("en-GB", 9_999, 1_950, "€1,950"),
        ("en-GB", 48_140, 48_140, "€48k"),
        ("de-DE", 48_140, 48_140, "48k\xa0€"),
        ("en-GB", 60_000_000, 48_140_000, "€48M"),
    ],
)
def test_large_amounts_are_short(locale: str, most: int, amount: int, text: str) -> None:
    """Amounts in a chart are in the unit that fits its greatest one, by the locale."""
    assert short_money(formats(locale), "EUR", Decimal(most))(amount) == text

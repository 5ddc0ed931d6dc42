from __future__ import annotations

import re
from datetime import date

import pytest

from crm_core.model.presentation import Regional
from crm_core.web.pages.layout.formats import RegionalFormat
from crm_core.web.pages.records.typed_dates import NoSuchDay, read_days
from crm_core.web.pages.records.typed_numbers import read_amount, readings
from translations import ROOT

SATURDAY = date(2026, 11, 28)
BOTH = ("12500", "12.500")


def regional(locale: str | None, currency: str = "EUR") -> RegionalFormat:
    """The formats of a tenant with this locale."""
    return RegionalFormat(Regional(currency=currency, locale=locale))


def test_the_table_in_the_docs_is_right() -> None:
    """Each cell of the page's table is what the form saves or asks about."""
    page = (ROOT / "docs/workspace.md").read_text()
    rows = re.findall(r"^\| `(\d[^`]*)` \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for text, cells in rows:
        for locale, cell in zip(("en-GB", "de-DE", "fr-FR", None), cells.split(" | "), strict=True):
            assert read_amount(text, regional(locale)).readings == tuple(re.findall(r"[0-9.]+", cell)), (text, locale)


@pytest.mark.parametrize(
    ("text", "british", "german", "french", "none"),
    [
        ("12,500", ("12500",), BOTH, BOTH, BOTH),
        ("12.500", BOTH, ("12500",), BOTH, BOTH),
        ("12.500,50", *[("12500.50",)] * 4),
        ("12 500", *[("12500",)] * 4),
        ("1 250 000", *[("1250000",)] * 4),
        ("1\N{NARROW NO-BREAK SPACE}250,75", *[("1250.75",)] * 4),
        ("1.234", ("1234", "1.234"), ("1234",), ("1234", "1.234"), ("1234", "1.234")),
        ("1.250.000", *[("1250000",)] * 4),
        ("12,34,567.00", *[("1234567.00",)] * 4),
        ("12,5", *[("12.5",)] * 4),
        ("0,500", *[("0.500",)] * 4),
        ("1234,567", *[("1234567", "1234.567")] * 4),
        ("\u0661\u0662", *[("12",)] * 4),
        ("1,2,3", *[()] * 4),
        ("1 2", *[()] * 4),
        ("--3", *[()] * 4),
        (".", *[()] * 4),
    ],
)
def test_numbers_are_read_by_the_locale(
    text: str, british: tuple[str, ...], german: tuple[str, ...], french: tuple[str, ...], none: tuple[str, ...]
) -> None:
    """A separator before three digits groups thousands where the locale says so; else there are two readings."""
    locales = ("en-GB", "de-DE", "fr-FR", None)
    assert [readings(text, regional(each).thousands) for each in locales] == [british, german, french, none]


@pytest.mark.parametrize(
    ("locale", "currency", "text", "number", "code"),
    [
        ("en-GB", "GBP", "€12,500", "12500", "EUR"),
        ("en-GB", "GBP", "12,500.00 EUR", "12500.00", "EUR"),
        ("en-GB", "GBP", "CHF 1'250.50", "1250.50", "CHF"),
        ("en-US", "USD", "$5", "5", "USD"),
        ("en-AU", "AUD", "$5", "5", "AUD"),
        ("de-DE", "EUR", "12.500 €", "12500", "EUR"),
        ("de-DE", "EUR", "US$1,500.00", "1500.00", "USD"),
        ("sv-SE", "SEK", "A$ 20", "20", "AUD"),
        ("de-DE", "EUR", "7", "7", None),
    ],
)
def test_an_amount_may_name_its_currency(locale: str, currency: str, text: str, number: str, code: str | None) -> None:
    """A sign or code before or after the number is the currency; one of many owners counts for the workspace's own."""
    assert read_amount(text, regional(locale, currency)) == ((number,), code)


@pytest.mark.parametrize("text", ["5 kg", "EUR 5 €", "$5", "five", "€"])
def test_an_unknown_currency_is_no_amount(text: str) -> None:
    """Units, two currencies and a dollar sign of no known country are refused, not guessed."""
    assert read_amount(text, regional("en-GB")).readings == ()


@pytest.mark.parametrize(
    ("locale", "text", "days"),
    [
        (None, "2026-12-04", ["2026-12-04"]),
        (None, "4 Dec", ["2026-12-04"]),
        (None, "dec 4th, 2027", ["2027-12-04"]),
        (None, "4.12.", ["2026-12-04"]),
        (None, "27.11.", ["2027-11-27"]),
        (None, "tomorrow", ["2026-11-29"]),
        (None, "Friday", ["2026-12-04"]),
        (None, "sat", ["2026-12-05"]),
        (None, "29 Feb", ["2028-02-29"]),
        (None, "4/12", ["2026-12-04", "2027-04-12"]),
        (None, "13/12", ["2026-12-13"]),
        ("en-GB", "4/12", ["2026-12-04"]),
        ("en-US", "4/12", ["2027-04-12"]),
        ("de-DE", "3. März 27", []),
        ("de-DE", "3. März 2027", ["2027-03-03"]),
        ("de-DE", "Freitag", ["2026-12-04"]),
        ("fr-FR", "3 fevr.", ["2027-02-03"]),
        ("fi-FI", "2 Mar", ["2027-03-02"]),
        ("fi-FI", "2 marras", ["2027-11-02"]),
        ("teo-UG", "2 Mar", ["2027-03-02", "2027-05-02"]),
        (None, "ju 3", []),
        (None, "99/99", []),
        (None, "soon", []),
    ],
)
def test_dates_are_read_as_people_type_them(locale: str | None, text: str, days: list[str]) -> None:
    """Words, numbers in the locale's order and a date without a year, which is the next one; others have no reading."""
    assert [day.isoformat() for day in read_days(text, regional(locale), SATURDAY)] == days


@pytest.mark.parametrize(
    ("text", "sentence"), [("31 Nov", "November has 30 days."), ("29.2.2027", "February has 28 days.")]
)
def test_a_day_that_a_month_lacks_is_named(text: str, sentence: str) -> None:
    """The error says how many days the month has."""
    with pytest.raises(NoSuchDay, match=sentence):
        read_days(text, regional(None), SATURDAY)


def test_a_word_is_folded_as_everywhere() -> None:
    """Accents do not count, but hundreds of them in a row, which take long to sort, make a word that is no day."""
    today = date(2026, 11, 24)
    assert read_days("m\u00f6nday", regional(None), today) == read_days("monday", regional(None), today) != ()
    assert read_days("monday" + "\u0315\u0300" * 300, regional(None), today) == ()

"""Dates as people type them: ``4 Dec``, ``4.12.``, ``2026-12-04``, ``tomorrow``, ``Friday``."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from babel import Locale

from crm_core.language import current, gettext
from crm_core.model.folded_text import folded
from crm_core.web.pages.layout.formats import RegionalFormat, month_name

_ISO: Final = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})")
_NUMBERS: Final = re.compile(r"([0-9]{1,2})\s*([./-])\s*([0-9]{1,2})(?:\s*[./-]\s*([0-9]{4}|[0-9]{2})?)?")
_DAY_MONTH: Final = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th|\.)?\s*([^\W\d_]+)\.?,?(?:\s+([0-9]{4}))?")
_MONTH_DAY: Final = re.compile(r"([^\W\d_]+)\.?\s+([0-9]{1,2})(?:st|nd|rd|th)?(?:,?\s+([0-9]{4}))?")
_RELATIVE: Final[Mapping[str, int]] = {
    "today": 0, "tomorrow": 1, "yesterday": -1, "heute": 0, "morgen": 1, "gestern": -1,
}  # fmt: skip
_ENGLISH: Final = Locale("en")
_SHORTEST: Final = 3
_LEAP_CYCLE: Final = 8
"""The most years between two leap days."""


class NoSuchDay(ValueError):
    """A month has no such day; its text says how many it has."""


def read_days(text: str, regional: RegionalFormat, today: date) -> tuple[date, ...]:
    """The days that a text may mean: one, two if day and month may be swapped or a word has two meanings, or none.

    A day without a year is the next one; a day of the week is the next one after today.

    Raises:
        NoSuchDay: the month has no such day.
    """
    typed = re.sub(r"\s+", " ", text.strip().casefold())
    if typed in _RELATIVE:
        return (today + timedelta(days=_RELATIVE[typed]),)
    if found := _ISO.fullmatch(typed):
        year, month, day = map(int, found.groups())
        return _valid(_day(year, month, day, today))
    if found := _NUMBERS.fullmatch(typed):
        return _from_numbers(found, regional, today)
    if found := _DAY_MONTH.fullmatch(typed):
        return _from_words(found[1], found[2], found[3], regional, today)
    if found := _MONTH_DAY.fullmatch(typed):
        return _from_words(found[2], found[1], found[3], regional, today)
    days = _named(typed, regional, "days")
    return tuple(sorted(today + timedelta(days=(day - today.weekday() - 1) % 7 + 1) for day in days))


def _from_words(day: str, month: str, year: str | None, regional: RegionalFormat, today: date) -> tuple[date, ...]:
    numbers = _named(month, regional, "months")
    return tuple(sorted(_valid(*(_day(int(year) if year else None, number, int(day), today) for number in numbers))))


def _from_numbers(found: re.Match[str], regional: RegionalFormat, today: date) -> tuple[date, ...]:
    first, second, year = int(found[1]), int(found[3]), found[4]
    whole = None if year is None else int(year) + (0 if len(year) == 4 else 2000)
    day_first = True if found[2] == "." else regional.day_first
    if first > 12 or second > 12:
        day_first = first > 12
    orders = {(first, second)} if day_first else {(second, first)} if day_first is not None else set()
    orders = orders or {(first, second), (second, first)}
    return tuple(sorted(_valid(*(_day(whole, month, day, today) for day, month in orders))))


def _valid(*days: date | None) -> tuple[date, ...]:
    return tuple(day for day in days if day is not None)


def _day(year: int | None, month: int, day: int, today: date) -> date | None:
    """The day of a year, without one the next such day; None if there is no such month."""
    if not 1 <= month <= 12 or year == 0:
        return None
    for candidate in (year,) if year else range(today.year, today.year + _LEAP_CYCLE + 1):
        if 1 <= day <= monthrange(candidate, month)[1]:
            found = date(candidate, month, day)
            if year or found >= today:
                return found
    raise NoSuchDay(
        gettext("{month} has {n} days.", month=month_name(month), n=monthrange(year or today.year, month)[1])
    )


def _named(text: str, regional: RegionalFormat, kind: str) -> set[int]:
    """The months, from 1, or the days of the week, from 0, that a word may name or begin.

    In the tenant's language, the page's, and English. Names count more than their beginnings: a page in English shows
    2 Mar to a Finnish tenant, whose November begins so. Two are left if the languages call two of them the same.
    """
    word, named, begun = _plain(text), set[int](), set[int]()
    for locale in (regional.locale, current().locale, _ENGLISH):
        starts = set[int]()
        for width in ("wide", "abbreviated"):
            names: Mapping[int, str] = getattr(locale, kind)["format"][width]
            named |= {number for number, name in names.items() if _plain(name) == word}
            starts |= {number for number, name in names.items() if _plain(name).startswith(word)}
        if len(word) >= _SHORTEST and len(starts) == 1:
            begun |= starts
    return named or begun


def _plain(text: str) -> str:
    return folded(text).rstrip(".")

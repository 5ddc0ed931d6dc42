"""Times, dates, numbers and money by a tenant's time zone, date pattern, locale and currency."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final, NamedTuple, overload
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import (
    format_currency,
    format_decimal,
    format_percent,
    get_currency_precision,
    get_decimal_symbol,
    get_group_symbol,
)

from crm_core.language import ENGLISH, current, gettext, ngettext
from crm_core.model.presentation import Regional
from crm_core.model.times import from_wire, to_wire

_TOKEN: Final = re.compile(r"[Yy]{4}|[Yy]{2}|M{1,4}|[Dd]{1,4}|%[A-Za-z]")
_PARTS: Final[Mapping[str, Callable[[date], str]]] = {
    "yyyy": lambda day: f"{day.year:04d}",
    "yy": lambda day: f"{day.year % 100:02d}",
    "MMMM": lambda day: month_name(day.month),
    "MMM": lambda day: _named("MMM", day),
    "MM": lambda day: f"{day.month:02d}",
    "M": lambda day: str(day.month),
    "dddd": lambda day: _named("EEEE", day),
    "ddd": lambda day: _named("EEE", day),
    "dd": lambda day: f"{day.day:02d}",
    "d": lambda day: str(day.day),
}
_PERCENT: Final = {
    "%Y": "yyyy",
    "%y": "yy",
    "%B": "MMMM",
    "%b": "MMM",
    "%m": "MM",
    "%A": "dddd",
    "%a": "ddd",
    "%d": "dd",
}


class Moment(NamedTuple):
    """A moment: ``iso`` for machines, ``short`` for a row, ``full`` as tooltip."""

    iso: str
    short: str
    full: str


class RegionalFormat:
    """How a tenant writes times, numbers and money.

    ``thousands``: the sign that groups digits, None without a locale. ``day_first``: whether dates begin with the day
    rather than the month, None if nothing says so.
    """

    def __init__(self, regional: Regional) -> None:
        self.zone = _zone(regional.timezone)
        self.currency = regional.currency or "EUR"
        self.locale = _locale(regional.locale)
        pushed = bool(regional.locale)
        self.thousands: str | None = get_group_symbol(self.locale) if pushed else None
        self._decimal = get_decimal_symbol(self.locale)
        self._pattern = regional.date_format
        self.day_first = _day_first(self._pattern or (self.locale.date_formats["short"].pattern if pushed else ""))
        self._money: dict[tuple[str, str], str] = {}

    def local(self, moment: datetime) -> datetime:
        """A moment in the tenant's time zone; in UTC if it is before the year 1 or after 9999 there."""
        try:
            return moment.astimezone(self.zone)
        except OverflowError:
            return moment.astimezone(UTC)

    def day(self, day: date, *, year: bool = True) -> str:
        """A date by the tenant's pattern; without one as in ``24 Nov 2026``, with or without the year."""
        if self._pattern:
            return _TOKEN.sub(lambda found: _part(found.group(), day), self._pattern)
        language = current()
        if language is ENGLISH:  # the same for all of its regions
            return _named("d MMM y" if year else "d MMM", day)
        locale = self.locale if self.locale.language == language.locale.language else language.locale
        return _formatted(day, locale.datetime_skeletons["yMMMd" if year else "MMMd"].pattern, locale)

    def number(self, number: int) -> str:
        """A whole number with its digits grouped."""
        if 0 <= number < 1000:  # nearly all are, and no locale groups three digits
            return str(number)
        return _grouped(number, self.locale)

    def percent(self, share: float) -> str:
        """A share from 0 to 1 in whole percent, with the locale's sign."""
        return str(format_percent(share, locale=self.locale))

    def typed(self, number: str) -> str:
        """A plain number such as ``1250.50`` as one types it: with the locale's signs if the tenant has a locale."""
        whole, point, decimals = number.partition(".")
        if self.thousands is None or not re.fullmatch(r"-?[0-9]{1,15}", whole):
            return number
        return f"{format_decimal(int(whole), locale=self.locale)}{self._decimal if point else ''}{decimals}"

    def exact_money(self, amount: str, currency: str | None) -> str:
        """An amount with its currency and all of its decimals, at least those of the currency."""
        code = currency or self.currency
        digits = max(len(amount.partition(".")[2]), get_currency_precision(code))
        pattern = re.sub(r"0\.0+", f"0.{'0' * digits}" if digits else "0", self._pattern_of_money())
        return str(format_currency(Decimal(amount), code, pattern, locale=self.locale, currency_digits=False))

    def money(self, amount: Decimal | str, currency: str | None) -> str:
        """An amount with its currency; decimals only if it has some."""
        key = (str(amount), currency or self.currency)
        found = self._money.get(key)
        if found is None:
            found = self._formatted(*key)
            if len(self._money) < 10_000:
                self._money[key] = found
        return found

    def _formatted(self, amount: str, currency: str) -> str:
        try:
            value = Decimal(amount)
        except InvalidOperation:
            return amount
        pattern = self._whole_pattern() if value == value.to_integral_value() else None
        return str(format_currency(value, currency, pattern, locale=self.locale, currency_digits=False))

    def _whole_pattern(self) -> str:
        """The locale's pattern of money, without decimals."""
        return re.sub(r"([.,])0+(?=[^#0]*(;|$))", "", self._pattern_of_money())

    def _pattern_of_money(self) -> str:
        return str(self.locale.currency_formats["standard"].pattern)


class Formats:
    """A tenant's regional format at one moment: relative times are relative to ``now``."""

    def __init__(self, regional: RegionalFormat, now: datetime) -> None:
        self.regional = regional
        self.now = now.astimezone(regional.zone)
        self._utc = now.astimezone(UTC)  # two times of one zone differ by the clock, whose change would count
        self.number = regional.number
        self.money = regional.money

    @overload
    def moment(self, text: None) -> None: ...
    @overload
    def moment(self, text: str | datetime) -> Moment: ...
    def moment(self, text: str | datetime | None) -> Moment | None:
        """A time for readers: relative for an hour, then the time of day, then the date."""
        if text is None:
            return None
        try:
            at = from_wire(text) if isinstance(text, str) else text
        except ValueError:
            return Moment(*[str(text)] * 3)  # as it is stored, from before the type changed
        local = self.regional.local(at)
        iso = text if isinstance(text, str) else to_wire(at)
        full = f"{self.regional.day(local.date())}, {local.hour:02d}:{local.minute:02d}:{local.second:02d}"
        return Moment(iso, self._short(local), full)

    def within(self, text: str | datetime) -> Moment:
        """The same inside a sentence: ``just now``, ``at 14:30``, ``on 24 Nov``."""
        moment = self.moment(text)
        local = self.regional.local(from_wire(text) if isinstance(text, str) else text)
        if timedelta(seconds=-5) < self._utc - local < timedelta(hours=1):
            return moment
        days, clock = (self.now.date() - local.date()).days, f"{local:%H:%M}"
        if days == 0:
            return moment._replace(short=gettext("at {time}", time=clock))
        if days == 1:
            return moment._replace(short=gettext("yesterday at {time}", time=clock))
        return moment._replace(short=gettext("on {day}", day=moment.short))

    def clock(self, text: str) -> str:
        """The time of day."""
        return f"{self.regional.local(from_wire(text)):%H:%M:%S}"

    def date_unless_today(self, text: str) -> str:
        """The date of a moment, empty if it is today."""
        local = self.regional.local(from_wire(text)).date()
        return "" if local == self.now.date() else self._date(local)

    def day(self, text: str | date) -> Moment:
        """A date of a record for readers."""
        try:
            day = date.fromisoformat(text) if isinstance(text, str) else text
        except ValueError:
            return Moment(*[str(text)] * 3)  # as it is stored, from before the type changed
        return Moment(day.isoformat(), self._date(day), self.regional.day(day))

    def full_day(self, day: date) -> str:
        """A date in full, such as ``Friday, 4 December 2026``."""
        language = current()
        return _named("EEEE, d MMMM y", day) if language is ENGLISH else _formatted(day, "full", language.locale)

    def start_of(self, day: date) -> str:
        """The moment at which a day begins here, as records have moments."""
        return to_wire(datetime.combine(day, time(), self.regional.zone).astimezone(UTC))

    def days(self, count: int) -> str:
        """A number of days."""
        return ngettext("{n} day", "{n} days", count, n=self.number(count))

    def month(self, day: date) -> str:
        """A month by its name, with the year unless it is this one."""
        return _named("LLLL" + ("" if day.year == self.now.year else " y"), day)

    def month_sign(self, day: date) -> str:
        """A month in a few characters."""
        return _named("LLL", day)

    def weekday(self, day: date) -> str:
        """The weekday of a date."""
        return _named("EEEE", day)

    def greeting(self) -> str:
        """The greeting for this time of day."""
        if self.now.hour < 12:
            return gettext("Good morning")
        return gettext("Good afternoon") if self.now.hour < 18 else gettext("Good evening")

    def _date(self, day: date) -> str:
        return self.regional.day(day, year=day.year != self.now.year)

    def _short(self, local: datetime) -> str:
        age = self._utc - local
        if timedelta(seconds=-5) < age < timedelta(minutes=1):
            return gettext("just now")
        if timedelta() < age < timedelta(hours=1):
            return ngettext("{n} min ago", "{n} min ago", int(age.total_seconds() // 60))
        days = (self.now.date() - local.date()).days
        if days == 0:
            return f"{local:%H:%M}"
        return gettext("Yesterday, {time}", time=f"{local:%H:%M}") if days == 1 else self._date(local.date())


def month_name(month: int) -> str:
    """The name of a month in the current language."""
    return str(current().locale.months["format"]["wide"][month])


def _named(pattern: str, day: date) -> str:
    """A date with names in the current language. ``EEEE``: the day of the week."""
    return _formatted(day, pattern, current().locale)


@lru_cache(4096)
def _formatted(day: date, pattern: str, locale: Locale) -> str:
    return str(format_date(day, pattern, locale))


@lru_cache(4096)
def _grouped(number: int, locale: Locale) -> str:
    return str(format_decimal(number, locale=locale))


def _part(token: str, day: date) -> str:
    name = _PERCENT.get(token, token.replace("Y", "y").replace("D", "d"))
    found = _PARTS.get(name)
    return found(day) if found else token


def _day_first(pattern: str) -> bool | None:
    """Whether a pattern has the day before the month; None if it lacks one of them."""
    parts = [_PERCENT.get(token, token).lower()[0] for token in _TOKEN.findall(pattern)]
    return parts.index("d") < parts.index("m") if {"d", "m"} <= set(parts) else None


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


@lru_cache(512)
def _locale(tag: str | None) -> Locale:
    try:
        return Locale.parse((tag or "en").replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")

"""Numbers and amounts as people type them, read by the tenant's locale; two readings are never guessed between."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

from babel.numbers import get_currency_symbol

from crm_core.model.currencies import CURRENCIES
from crm_core.web.pages.layout.formats import RegionalFormat

_SPACES: Final = "\\s'\N{RIGHT SINGLE QUOTATION MARK}"
_SPACED: Final = re.compile(rf"[0-9]{{1,3}}(?:[{_SPACES}][0-9]{{3}})+")
_AMOUNT: Final = re.compile(r"([^0-9+.,-]*)([+-]?[0-9.,].*?[0-9.,]|[+-]?[0-9])([^0-9.,]*)", re.DOTALL)
_SIGNS: Final = {"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₺": "TRY", "₩": "KRW", "₪": "ILS", "zł": "PLN"}
_CODES: Final = sorted(CURRENCIES)
_WORLD: Final = "en_001"
"""A locale whose symbols are those of one currency each, such as ``US$`` and ``A$``."""
_LEAST_CLEAR: Final = 4
"""Decimals that make a number with one separator clear."""


class TypedAmount(NamedTuple):
    """A typed amount: its plain numbers, as the function ``readings`` returns them, and the code that it names."""

    readings: tuple[str, ...]
    currency: str | None


def readings(text: str, thousands: str | None) -> tuple[str, ...]:
    """The plain numbers such as ``-1250.5`` that a text may mean: one, two if it is ambiguous, none if it is no number.

    ``thousands`` is the sign that groups digits in the tenant's locale. The last of two different separators begins
    the decimals. A single one before exactly three digits groups thousands if it is that sign, else it is ambiguous.
    """
    typed = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text.strip())
    sign, typed = ("-", typed[1:]) if typed[:1] in ("-", "\N{MINUS SIGN}") else ("", typed.removeprefix("+"))
    found = _SPACED.match(typed)
    if found:
        whole = re.sub(rf"[{_SPACES}]", "", found.group())
        rest = typed[found.end() :]
        return (sign + _joined(whole, rest[1:]),) if re.fullmatch(r"(?:[.,][0-9]*)?", rest) else ()
    if not re.fullmatch(r"[0-9.,]*[0-9][0-9.,]*", typed):
        return ()
    return tuple(sign + one for one in _separated(typed, thousands))


def read_amount(text: str, regional: RegionalFormat) -> TypedAmount:
    """An amount with or without a currency's sign or code before or after it."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        return TypedAmount((), None)
    before, number, after = (part.strip() for part in found.groups())
    named = [part for part in (before, after) if part]
    currency = _currency(named[0], regional) if len(named) == 1 else None
    if named and currency is None:
        return TypedAmount((), None)
    return TypedAmount(readings(number, regional.thousands), currency)


def clear(number: str) -> str:
    """A plain number with as many decimals as it needs to be read in one way only."""
    whole, point, decimals = number.partition(".")
    return f"{whole}.{decimals.ljust(_LEAST_CLEAR, '0')}" if point else number


def _separated(typed: str, thousands: str | None) -> tuple[str, ...]:
    separators = [c for c in typed if c in ".,"]
    if not separators:
        return (_joined(typed, ""),)
    last = separators[-1]
    if len(set(separators)) > 1:
        grouped, _, decimals = typed.rpartition(last)
        return (_joined(*whole, decimals),) if (whole := _ungrouped(grouped)) else ()
    if len(separators) > 1:
        return (_joined(*whole, ""),) if (whole := _ungrouped(typed)) else ()
    before, _, after = typed.partition(last)
    decimal, grouped = _joined(before, after), _joined(before + after, "")
    if not re.fullmatch(r"[1-9][0-9]*", before) or not re.fullmatch(r"[0-9]{3}", after):
        return (decimal,)
    return (grouped,) if last == thousands and len(before) <= len(after) else (grouped, decimal)


def _ungrouped(text: str) -> tuple[str] | None:
    """The digits of a number whose groups one sign separates: the last of three digits, as in India others of two."""
    sign = next(c for c in text if c in ".,")
    groups = text.split(sign)
    fits = len(groups[0]) in (1, 2, 3) and len(groups[-1]) == 3 and all(len(one) in (2, 3) for one in groups[1:-1])
    digits = "".join(groups)
    return (digits,) if fits and digits.isdigit() else None


def _joined(whole: str, decimals: str) -> str:
    plain = whole.lstrip("0") or "0"
    return f"{plain}.{decimals}" if decimals else plain


def _currency(text: str, regional: RegionalFormat) -> str | None:
    """The code that a sign or code names; None if it is unknown or, as ``$`` may be, that of several."""
    if text.upper() in CURRENCIES:
        return text.upper()
    own = regional.currency
    if text == get_currency_symbol(own, regional.locale) or get_currency_symbol(own, "en").endswith(text):
        return own
    if text in _SIGNS:
        return _SIGNS[text]
    symbols = ((code, get_currency_symbol(code, locale)) for locale in (regional.locale, _WORLD) for code in _CODES)
    return next((code for code, symbol in symbols if symbol == text), None)

"""Lines of CSV (RFC 4180) that spreadsheets do not run as formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Final

import msgspec

# The starts of formulas, and white space that is trimmed; some spreadsheets accept full-width forms too.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


BOM: Final = b"\xef\xbb\xbf"
_PHONE_NUMBER: Final = re.compile(r"[0-9+ ()./-]+")


class PhoneNumber(str):
    """A phone number, which is not a formula if it has only digits and ``+ ()-./``."""

    __slots__ = ()


def cell(value: object) -> str:
    """A value as the text of a cell; a possible formula gets a leading ``'``. Numbers stay numbers, null is empty.

    ``text_of`` takes the sign away again, so a text that has one already gets another.
    """
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return "true" if value is True else "false" if value is False else str(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if isinstance(value, PhoneNumber) and _PHONE_NUMBER.fullmatch(value):
        return value
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA_STARTS) else text


def text_of(written: str) -> str:
    """The text of a cell that ``cell`` wrote, without the sign that it put before a possible formula."""
    quoted = written[:1] == "'" and written.lstrip("'").startswith(_FORMULA_STARTS)
    return written[1:] if quoted else written


def line(values: Iterable[object]) -> bytes:
    """Values as one line of CSV with its end."""
    return lines((values,))


def lines(rows: Iterable[Iterable[object]]) -> bytes:
    """Rows as lines of CSV."""
    written = io.StringIO()
    csv.writer(written).writerows([cell(value) for value in values] for values in rows)
    return written.getvalue().encode()

"""Lines of CSV (RFC 4180) that a spreadsheet shows and does not run."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

# What spreadsheets take for the start of a formula, or trim to one; some take the full-width forms for the same.
_RUN = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


BOM: Final = b"\xef\xbb\xbf"
_DIALLED: Final = re.compile(r"[0-9+ ()./-]+")


class PhoneNumber(str):
    """A phone number: of digits and ``+ ()-./`` alone it runs nothing, and is shown as it is."""

    __slots__ = ()


def cell(value: Any) -> str:
    """A value as the text of a cell; what could be run gets a leading ``'``. Numbers stay numbers, null is empty."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return "true" if value is True else "false" if value is False else str(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if isinstance(value, PhoneNumber) and _DIALLED.fullmatch(value):
        return value
    return f"'{text}" if text.startswith(_RUN) else text


def line(values: Iterable[Any]) -> bytes:
    """Values as one line of CSV with its end."""
    return lines((values,))


def lines(rows: Iterable[Iterable[Any]]) -> bytes:
    """Rows as lines of CSV."""
    written = io.StringIO()
    csv.writer(written).writerows([cell(value) for value in values] for values in rows)
    return written.getvalue().encode()

"""Times on the wire: RFC 3339 in UTC with ``Z`` and milliseconds, so that texts sort as the moments do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_FORMAT: Final = "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ"  # a third of the time that isoformat takes
_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def to_wire(moment: datetime) -> str:
    """The text of an aware moment, such as ``2026-11-24T02:00:00.000Z``."""
    at = moment.astimezone(UTC)
    parts = (at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond // 1000)
    return _FORMAT % parts


def is_moment(text: str) -> bool:
    """Whether a text is an RFC 3339 time with a zone."""
    try:
        from_input(text)
    except ValueError:
        return False
    return True


def from_input(text: str) -> datetime:
    """The moment of a text from outside. Raises ValueError unless it is an RFC 3339 time (section 5.6)."""
    if not _RFC_3339.fullmatch(text):
        raise ValueError("write the time as 2026-11-24T02:00:00Z")
    return from_wire(text.upper())


def from_wire(text: str) -> datetime:
    """The moment of a stored text. Raises ValueError if it is not a time with a zone that exists in UTC.

    Earlier versions stored other forms of ISO 8601 too, such as week dates.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time names no zone; end it with Z for UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is before the year 1 or after the year 9999 in UTC") from None

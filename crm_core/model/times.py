"""Times on the wire: RFC 3339 in UTC with ``Z`` and milliseconds, so that texts sort as the moments do."""

from __future__ import annotations

from datetime import UTC, datetime


def to_wire(moment: datetime) -> str:
    """The text of an aware moment, such as ``2026-11-24T02:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def is_moment(text: str) -> bool:
    """Whether a text is an RFC 3339 time with a zone."""
    try:
        from_wire(text)
    except ValueError:
        return False
    return "T" in text.upper()


def from_wire(text: str) -> datetime:
    """The moment of an RFC 3339 text. Raises ValueError where it is none, names no zone, or is none in UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time names no zone; end it with Z for UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is before the year 1 or after the year 9999 in UTC") from None

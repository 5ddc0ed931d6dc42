"""A captured request, however it was captured."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec


class UnreadableCapture(ValueError):
    """A capture without a request; the text is a sentence."""


class CapturedRequest(msgspec.Struct, frozen=True):
    """A captured request. ``path`` may have a query; header names are in lower case, in order.

    ``notes``: remarks on how it was read, as sentences. ``scheme``: that of its URL, if the capture has one.
    """

    method: str
    path: str
    authority: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    notes: tuple[str, ...] = ()
    scheme: str = "http"


def split_target(target: str) -> tuple[str, str]:
    """Path with query, and authority, of a request target or a URL. Raises UnreadableCapture."""
    if "://" not in target:
        return target, ""
    try:
        parts = urlsplit(target)
    except ValueError:
        raise UnreadableCapture(f"{target[:200]!a} is not a URL.") from None
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), parts.netloc.rpartition("@")[2]

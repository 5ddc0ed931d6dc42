"""What every way of capturing a request comes to."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec


class Unreadable(ValueError):
    """A capture that holds no request; the text is a sentence."""


class Captured(msgspec.Struct, frozen=True):
    """A request as it was captured. ``path`` may hold a query; header names are in lower case, in their order.

    ``notes``: what was seen while reading it, in sentences.
    """

    method: str
    path: str
    authority: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    notes: tuple[str, ...] = ()


def split_target(target: str) -> tuple[str, str]:
    """Path with query, and authority, of a request target or an address. Raises Unreadable."""
    if "://" not in target:
        return target, ""
    try:
        parts = urlsplit(target)
    except ValueError:
        raise Unreadable(f"{target[:200]!a} is no address.") from None
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), parts.netloc.rpartition("@")[2]

"""Which raw request paths are refused before routing."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT: Final = re.compile(rb"(?:^|/)\.{1,2}(?:/|;|$)")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")


def refused(raw_path: bytes) -> str | None:
    """Say why a path is refused, or None for one that every proxy reads alike.

    ``raw_path`` is the path as it came, escapes and all, without the query. Refused are paths in which
    two readers of RFC 3986 may see different resources: empty and dot segments, encoded slashes,
    backslashes and control characters, plain or encoded, broken escapes, and bytes that are not UTF-8.
    The sentence never repeats the path.
    """
    if not raw_path.startswith(b"/"):
        return "The path must start with a slash."
    if b"//" in raw_path:
        return "The path holds an empty segment (two slashes in a row)."
    if b"%" in raw_path:
        if _BROKEN_ESCAPE.search(raw_path):
            return "The path holds a percent sign that two hexadecimal digits do not follow."
        if b"%2f" in raw_path.lower():
            return "The path holds an encoded slash."
    path = unquote_to_bytes(raw_path)
    if b"\\" in path:
        return "The path holds a backslash."
    if _CONTROL.search(path):
        return "The path holds a control character."
    if _DOT_SEGMENT.search(path):
        return "The path holds a dot segment."
    if not path.isascii():
        return _refused_text(path)
    return None


def _refused_text(path: bytes) -> str | None:
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return "The path is not UTF-8."
    if any("\x80" <= letter <= "\x9f" for letter in text):
        return "The path holds a control character."
    return None

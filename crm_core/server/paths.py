"""Request paths that are refused before routing."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+/?")  # the common path, in one step
_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT: Final = re.compile(rb"(?:^|/)\.{1,2}(?:/|;|$)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def refused(raw_path: bytes) -> str | None:
    """Return why a path is refused, or None if every proxy reads it alike.

    ``raw_path`` is the path as received, with its escapes, without the query. Refused are paths in which two readers
    of RFC 3986 may see different resources. The message never repeats the path.
    """
    if _PLAIN.fullmatch(raw_path):
        return None
    if not raw_path.startswith(b"/"):
        return "The path must start with a slash."
    if b"//" in raw_path:
        return "The path contains an empty segment (two slashes in a row)."
    if b"%" in raw_path:
        if _BROKEN_ESCAPE.search(raw_path):
            return "The path contains a percent sign without two hexadecimal digits after it."
        if b"%2f" in raw_path.lower():
            return "The path contains an encoded slash."
    path = unquote_to_bytes(raw_path)
    if b"\\" in path:
        return "The path contains a backslash."
    if _DOT_SEGMENT.search(path):
        return "The path contains a dot segment."
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return "The path is not UTF-8."
    if _CONTROL.search(text):
        return "The path contains a control character."
    return None

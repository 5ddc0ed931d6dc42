"""The ways in which the body that was signed differs from the body that was sent."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from crm_core.errors import MalformedJson
from crm_core.explain.mistake import Mistake
from crm_core.model.strict_json import loads

RESERIALISED, TRAILING_NEWLINE, LINE_ENDS, WRONG_PART = (
    "body_reserialised",
    "trailing_newline",
    "line_ends",
    "wrong_part",
)
_BOM = b"\xef\xbb\xbf"
_SPACINGS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("without spaces", {"separators": (",", ":")}),
    ("with spaces after , and :", {}),
    ("indented by 2", {"indent": 2}),
    ("indented by 4", {"indent": 4}),
    ("indented by tabs", {"indent": "\t"}),
)
_ORDERS = ((), ("members sorted",))
_LETTERS = (("letters as they are", False), ("letters beyond ASCII as \\u....", True))
_ESCAPES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("", ()),
    ("/ as \\/", (("/", "\\/"),)),
    ("<, > and & as \\u....", (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))),
)


def other_bodies(body: bytes) -> Iterator[tuple[Mistake, bytes]]:
    """Bodies that may have been signed in place of this one, each once, with the mistake that it would be."""
    seen = {body}
    for mistake, other in (*_line_ends(body), *_rewritten(body)):
        if other not in seen:
            seen.add(other)
            yield mistake, other


def _line_ends(body: bytes) -> Iterator[tuple[Mistake, bytes]]:
    added = Mistake(
        TRAILING_NEWLINE,
        "The body was signed with a line end behind it, and sent without.",
        "Sign the very bytes that are sent: printf %s instead of echo, curl --data-binary instead of --data.",
    )
    missing = Mistake(
        TRAILING_NEWLINE,
        "The body was sent with a line end behind it that was not signed.",
        "Sign the very bytes that are sent.",
    )
    changed = Mistake(
        LINE_ENDS,
        "The line ends of the body were changed between signing and sending (LF and CR LF).",
        "Read and send the body as bytes; curl --data drops line ends, --data-binary keeps them.",
    )
    mark = Mistake(
        "byte_order_mark",
        "A byte order mark stands in front of the body on one side only.",
        "Write and sign the body as UTF-8 without a byte order mark.",
    )
    yield added, body + b"\n"
    yield added, body + b"\r\n"
    yield missing, body.rstrip(b"\r\n")
    yield changed, body.replace(b"\r\n", b"\n")
    yield changed, body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield changed, body.replace(b"\r", b"").replace(b"\n", b"")
    yield mark, _BOM + body
    yield mark, body.removeprefix(_BOM)


def _rewritten(body: bytes) -> Iterator[tuple[Mistake, bytes]]:
    try:
        value = loads(body.removeprefix(_BOM))
    except MalformedJson:
        return
    for style, text in _written(value):
        yield (
            Mistake(
                RESERIALISED,
                f"The same JSON was signed in another writing ({style}): it was serialised once for signing and once "
                "more for sending.",
                "Serialise once, keep the bytes, sign them and send them.",
            ),
            text,
        )
    if isinstance(value, dict) and isinstance(value.get("data"), dict):
        part = Mistake(
            WRONG_PART, "The data alone was signed, not the whole body.", "Sign the whole body: the envelope with data."
        )
        yield from ((part, text) for _, text in _written(value["data"]))
    empty = Mistake(WRONG_PART, "An empty body was signed.", "Sign after the body is written, over its bytes.")
    yield empty, b""


def _written(value: Any) -> Iterator[tuple[str, bytes]]:
    """A JSON value as the usual libraries write it, with words for each style; with and without a final line end."""
    for (spacing, how), order, (letters, ascii_only), (escape, pairs) in itertools.product(
        _SPACINGS, _ORDERS, _LETTERS, _ESCAPES
    ):
        text = json.dumps(value, ensure_ascii=ascii_only, sort_keys=bool(order), **how)
        for plain, escaped in pairs:
            text = text.replace(plain, escaped)
        words = ", ".join([spacing, *order, letters, *([escape] if escape else [])])
        yield words, text.encode()
        yield f"{words}, with a line end behind it", text.encode() + b"\n"

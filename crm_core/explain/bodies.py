"""Ways in which the signed body may differ from the sent one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from crm_core.errors import MalformedJson
from crm_core.explain.cause import Cause
from crm_core.model.strict_json import loads

RESERIALISED, TRAILING_NEWLINE = "body_reserialised", "trailing_newline"
LINE_ENDS, WRONG_PART = "line_ends", "wrong_part"
_BOM = b"\xef\xbb\xbf"
_SPACINGS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("without spaces", {"separators": (",", ":")}),
    ("with spaces after , and :", {}),
    ("indented by 2", {"indent": 2}),
    ("indented by 4", {"indent": 4}),
    ("indented by tabs", {"indent": "\t"}),
)
_ORDERS = ((), ("members sorted",))
_CHARACTERS = (("characters as they are", False), ("characters beyond ASCII as \\u....", True))
_ESCAPES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("", ()),
    ("/ as \\/", (("/", "\\/"),)),
    ("<, > and & as \\u....", (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))),
)


def other_bodies(body: bytes) -> Iterator[tuple[Cause, bytes]]:
    """Other bodies that may have been signed, without repetition, each with its cause."""
    seen = {body}
    for cause, other in (*_line_ends(body), *_rewritten(body)):
        if other not in seen:
            seen.add(other)
            yield cause, other


def _line_ends(body: bytes) -> Iterator[tuple[Cause, bytes]]:
    added = Cause(
        TRAILING_NEWLINE,
        "The body was signed with a line end after it, and sent without.",
        "Sign the exact bytes that are sent: printf %s instead of echo, curl --data-binary instead of --data.",
    )
    missing = Cause(
        TRAILING_NEWLINE,
        "The body was sent with a line end after it that was not signed.",
        "Sign the exact bytes that are sent.",
    )
    changed = Cause(
        LINE_ENDS,
        "The line ends of the body were changed between signing and sending (LF and CR LF).",
        "Read and send the body as bytes; curl --data drops line ends, --data-binary keeps them.",
    )
    mark = Cause(
        "byte_order_mark",
        "The body begins with a byte order mark on one side only.",
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


def _rewritten(body: bytes) -> Iterator[tuple[Cause, bytes]]:
    try:
        value = loads(body.removeprefix(_BOM))
    except MalformedJson:
        return
    for style, text in _written(value):
        yield (
            Cause(
                RESERIALISED,
                f"The same JSON was signed in another form ({style}): it was serialised once for signing and once "
                "more for sending.",
                "Serialise once, then sign and send the same bytes.",
            ),
            text,
        )
    if isinstance(value, dict) and isinstance(value.get("data"), dict):
        part = Cause(
            WRONG_PART, "The data alone was signed, not the whole body.", "Sign the whole body: the envelope with data."
        )
        yield from ((part, text) for _, text in _written(value["data"]))
    empty = Cause(WRONG_PART, "An empty body was signed.", "Write the body first, then sign its bytes.")
    yield empty, b""


def _written(value: Any) -> Iterator[tuple[str, bytes]]:
    """A JSON value as common libraries write it, each with a description; with and without a final line end."""
    for (spacing, how), order, (characters, ascii_only), (escape, pairs) in itertools.product(
        _SPACINGS, _ORDERS, _CHARACTERS, _ESCAPES
    ):
        text = json.dumps(value, ensure_ascii=ascii_only, sort_keys=bool(order), **how)
        for plain, escaped in pairs:
            text = text.replace(plain, escaped)
        words = ", ".join([spacing, *order, characters, *([escape] if escape else [])])
        yield words, text.encode()
        yield f"{words}, with a line end after it", text.encode() + b"\n"

"""Strict JSON: refuses bytes that two parsers could read differently.

Refused in addition to RFC 8259: duplicate members, NaN and Infinity, numbers beyond a double, nesting over
32, a byte order mark, lone surrogates and U+0000 (RFC 7493, I-JSON). Linear in the size of any input.
"""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF8
from itertools import accumulate
from typing import Any, NoReturn

import msgspec

from crm_core.errors import MalformedJson

MAX_DEPTH = 32
_SHORT = 64 * 1024  # bytes that may be read in one step, in which no other thread runs
_MAX_DIGITS = 309  # a double ends below 1.8e308; longer integers also take quadratic time to read

# Only a number with an exponent or so many digits can be too large. A match inside a text does no harm.
_SAME_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_EXPONENT, _LONG = b"0e", b"0" * _MAX_DIGITS
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
_STEPS = bytes.maketrans(b"[]", b"\x01\xff")  # a level in, a level out, as signed bytes


def loads(raw: bytes) -> Any:
    """The value of the bytes. Raises MalformedJson with a sentence that says where and why."""
    alike = raw.translate(_SAME_DIGITS)
    is_long = _LONG in alike
    value = None if is_long else _canonical(raw)
    return _in_any_form(raw, _careful if is_long or _EXPONENT in alike else _plain) if value is None else value


def _canonical(raw: bytes) -> Any:
    """The value of bytes that, white space aside, are just what it is written as; else None. A tenth of the time.

    Written so, a text has no member twice, no escape but the short ones, and no number that loses a digit.
    """
    if len(raw) > _SHORT or (b"\\" in raw and rb"\u" in raw):  # the first search is the fastest there is
        return None
    try:
        value = msgspec.json.decode(raw)
        if msgspec.json.encode(value) != msgspec.json.format(raw, indent=-1):
            return None
    except (msgspec.DecodeError, OverflowError, RecursionError, ValueError):
        return None
    return value if _is_shallow(raw) else None


def _in_any_form(raw: bytes, decoder: json.JSONDecoder) -> Any:
    try:
        value = decoder.decode(raw.decode())
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not UTF-8: byte {error.start} does not fit.") from None
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        if raw.startswith(BOM_UTF8):
            raise MalformedJson("The body begins with a byte order mark; leave it out.") from None
        if not raw.strip():
            raise MalformedJson("The body is empty. Send JSON.") from None
        raise MalformedJson(f"The body is not JSON: {error.msg} at character {error.pos}.") from None
    if not _is_shallow(raw):
        raise _too_deep()
    # An escaped NUL: after an escaped backslash, u0000 is a text. Control bytes as such are refused by the parser.
    if rb"\u0000" in raw and rb"\u0000" in raw.replace(rb"\\", b""):
        raise MalformedJson("A text contains U+0000, which cannot be stored; leave it out.")
    if _ESCAPED_SURROGATE.search(raw) and not _encodable(value):
        raise MalformedJson("A text contains half a surrogate pair, which is no character; send both halves or none.")
    return value


def _too_deep() -> MalformedJson:
    return MalformedJson(f"The body nests deeper than {MAX_DEPTH} levels.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise MalformedJson(f"The member {twice[:80]!a} appears twice in one object; send it once.")
    return members


def _constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not a JSON number.")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise MalformedJson("A number is too large for a double.")
    return value


def _int(text: str) -> int:
    if len(text) < _MAX_DIGITS:
        return int(text)
    digits = len(text) - (text[0] == "-")
    if digits > _MAX_DIGITS:
        raise MalformedJson("A number is too large for a double.")
    value = int(text)
    if digits >= _MAX_DIGITS:
        _float(text)
    return value


def _encodable(value: Any) -> bool:
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        return False
    return True


def _is_shallow(raw: bytes) -> bool:
    """Whether JSON that can be parsed nests no deeper than the limit, which its brackets alone say."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return True
    if b"\\" in raw:
        raw = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    outline = raw.translate(_BRACKETS, _NO_BRACKETS).replace(b'""', b"")
    outline = b"".join(outline.split(b'"')[::2])  # without the texts that contain brackets
    outline = outline.replace(b"[]", b"")  # the innermost level, often most of them
    levels = accumulate(memoryview(outline.translate(_STEPS)).cast("b"))
    return max(levels, default=0) < MAX_DEPTH


_plain = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant)
_careful = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_float, parse_int=_int)

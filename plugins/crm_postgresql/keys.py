"""Index values as texts that sort, by code point, in the order of the values."""

from __future__ import annotations

import hashlib
from typing import Final

from crm_core.plugin.unit import IndexValue

FALSE: Final = "0"
TRUE: Final = "1"
INTEGER: Final = "2"
TEXT: Final = "3"
NULL: Final = "9"
LAST: Final = "\U0010ffff"  # after every text that a key begins with
_LONGEST: Final = 1800  # bytes of a key as it is stored; PostgreSQL's indexes take no more than about 2,700
_START: Final = 400
_COMPLEMENT: Final = str.maketrans("0123456789", "9876543210")


def key_of(value: str | int | bool | None) -> str:  # noqa: FBT001 -- one of the values
    """The key of a value; null's is after all others.

    An integer is its digits behind their number, so that longer ones are later; of a negative one all complements.
    """
    if isinstance(value, str):
        return TEXT + text_of(value)
    if value is None:
        return NULL
    if isinstance(value, bool):
        return TRUE if value else FALSE
    digits = str(abs(value))
    if value >= 0:
        return f"{INTEGER}p{len(digits):03d}{digits}"
    return f"{INTEGER}n{999 - len(digits):03d}{digits.translate(_COMPLEMENT)}"


def text_of(value: str) -> str:
    """A text without U+0000, which PostgreSQL cannot store, in the same order."""
    if "\x00" not in value and "\x01" not in value:
        return value
    return value.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")


def keys_of(value: IndexValue) -> list[str]:
    """The keys of an index value: one, or one for each value of a tuple."""
    if isinstance(value, str):
        return [TEXT + text_of(value)]
    if isinstance(value, tuple):
        if "\x00" in (together := "".join(value)) or "\x01" in together:
            value = tuple(map(text_of, value))
        return [TEXT + each for each in dict.fromkeys(value)]
    return [key_of(value)]


def stored(key: str) -> str:
    """The key as the table of keys has it, as ``crm.cut`` does: a long one is cut, and its hash follows."""
    raw = key.encode()
    return key if len(raw) <= _LONGEST else key[:_START] + hashlib.sha256(raw).hexdigest()


def value_of(key: str) -> str | int | bool | None:
    """The value of a key."""
    kind, rest = key[0], key[1:]
    if kind == TEXT:
        return rest.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")
    if kind == NULL:
        return None
    if kind in (FALSE, TRUE):
        return kind == TRUE
    return int(rest[4:]) if rest[0] == "p" else -int(rest[4:].translate(_COMPLEMENT))

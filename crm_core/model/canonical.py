"""The canonical form of JSON values (RFC 8785) and its hash: equal values have equal bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import rfc8785

from crm_core.model.diff import pointer_to

_MOST_EXACT: Final = 2**53 - 1
_SAME_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER: Final = b"0" * 16  # as long as the first integer that is not exact


def canonical(value: Any) -> bytes:
    """The RFC 8785 form. Integers beyond 2^53 - 1 have none and raise ValueError."""
    return rfc8785.dumps(value)


def without_form(value: Any, pointer: str = "") -> Iterator[str]:
    """The RFC 6901 pointers of all integers that have no canonical form: readers of doubles would change them."""
    if not pointer and _LONG_NUMBER not in msgspec.json.encode(value).translate(_SAME_DIGITS):
        return
    if isinstance(value, dict):
        for name, item in value.items():
            yield from without_form(item, pointer + pointer_to(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from without_form(item, pointer + pointer_to(index))
    elif isinstance(value, int) and abs(value) > _MOST_EXACT:
        yield pointer


def sha256_of(value: Any) -> str:
    """Lower-case hex SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()

"""The canonical form of JSON values (RFC 8785) and its hash: equal values have equal bytes, whoever wrote them."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical(value: Any) -> bytes:
    """The RFC 8785 form. Integers beyond 2^53 - 1 have none and raise ValueError."""
    return rfc8785.dumps(value)


def sha256_of(value: Any) -> str:
    """Lower-case hex SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()

"""The signer of every signed text: itsdangerous with HMAC-SHA256, and one spelling of each signature."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final

from itsdangerous import Signer
from itsdangerous.encoding import want_bytes

# 32 bytes in base64url are 43 characters without padding, and the last one ends in two zero bits (RFC 4648, 3.5).
_SIGNATURE: Final = re.compile(rb"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


def newest_last(secret_keys: Iterable[bytes]) -> list[bytes]:
    """The instance's secret keys, given newest first, in the order of itsdangerous: it signs with the last one."""
    return list(secret_keys)[::-1]


class ExactSigner(Signer):
    """Accepts a signature in the spelling that signing gives, and in no other.

    itsdangerous compares decoded signatures, and decoding skips foreign characters. So one valid signature would have
    countless spellings, each a new text for everything that counts or caches texts.
    """

    default_digest_method: Any = staticmethod(hashlib.sha256)  # itsdangerous' own is SHA-1

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._derived: dict[str | bytes | None, bytes] = {}

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        """The key derived from a secret key and the salt, cached."""
        if secret_key not in self._derived:
            self._derived[secret_key] = super().derive_key(secret_key)
        return self._derived[secret_key]

    def verify_signature(self, value: str | bytes, sig: str | bytes) -> bool:
        """Whether ``sig`` is the signature of ``value`` by one of the keys, byte for byte."""
        return _SIGNATURE.fullmatch(want_bytes(sig)) is not None and super().verify_signature(value, sig)

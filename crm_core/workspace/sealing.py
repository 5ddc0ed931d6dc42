"""Secrets at rest: sealed with a key that is derived from the instance's secret keys.

Each value has its own random salt, so it stays valid when a tenant is backed up or renamed, and no two values
share a key. Fernet with a key by HKDF-SHA256 (RFC 5869); the first secret key seals, all of them open.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crm_core.errors import InternalError

_SALT_BYTES = 16


class Sealer:
    """Seals and opens texts, and makes fingerprints. ``secret_keys``: the instance's, the newest first."""

    def __init__(self, secret_keys: Iterable[bytes]) -> None:
        self._keys = tuple(secret_keys)
        self._fingerprint_keys = [_derived(key, b"", "fingerprint") for key in self._keys]

    def seal(self, purpose: str, text: str) -> str:
        """The sealed text; ``purpose`` must be the same when it is opened."""
        salt = os.urandom(_SALT_BYTES)
        sealed = self._box(purpose, salt).encrypt(text.encode())
        return base64.urlsafe_b64encode(salt).decode() + "." + sealed.decode()

    def open(self, purpose: str, sealed: str) -> str:
        """The text again. Raises InternalError if no secret key of the instance opens it."""
        salt, _, token = sealed.partition(".")
        try:
            return self._box(purpose, base64.urlsafe_b64decode(salt)).decrypt(token.encode()).decode()
        except (InvalidToken, ValueError):
            raise InternalError(
                "A stored secret cannot be opened: the instance's secret_key has changed. Put the old one back "
                "as a further item of the list, or push the secret again."
            ) from None

    def fingerprints(self, sha256: str) -> list[str]:
        """Keyed hashes that identify content and reveal nothing about it: the newest key's first.

        ``sha256``: that of the content, as hex.
        """
        digest = bytes.fromhex(sha256)
        return [hmac.new(key, digest, "sha256").hexdigest() for key in self._fingerprint_keys]

    def _box(self, purpose: str, salt: bytes) -> MultiFernet:
        keys = (base64.urlsafe_b64encode(_derived(key, salt, purpose)) for key in self._keys)
        return MultiFernet([Fernet(key) for key in keys])


def _derived(key: bytes, salt: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=f"crm:{purpose}".encode()).derive(key)

"""Signed texts for one purpose with an expiry: itsdangerous with the clock passed in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from cachetools import LRUCache
from itsdangerous import BadData, URLSafeSerializer

from crm_core.workspace.signer import ExactSigner, newest_last

_CACHED = 4096  # verified texts
_MAX_LENGTH = 4096  # characters, the size of a cookie that browsers must support (RFC 6265, 6.1)


class SignedTexts:
    """Makes and reads signed texts. ``secret_keys``: the instance's, newest first; the first signs, all verify.

    Everyone who has a text can read it, so it must contain no secret. Its signature is valid for one purpose only.
    """

    def __init__(self, secret_keys: Iterable[bytes], now: Callable[[], datetime]) -> None:
        self._keys = newest_last(secret_keys)
        self._now = now
        self._serializers: dict[str, URLSafeSerializer] = {}
        # Verifying takes 20 us. Keys are digests: a cache should contain no credentials.
        self._verified: LRUCache[bytes, tuple[tuple[Any, ...], int]] = LRUCache(_CACHED)

    def make(self, purpose: str, *parts: str | int, lifetime: timedelta) -> str:
        """Sign these parts for ``lifetime``. Purposes are a few fixed words."""
        ends = int((self._now() + lifetime).timestamp())
        text = self._serializer(purpose).dumps([*parts, ends])
        return text if isinstance(text, str) else text.decode()

    def read(self, purpose: str, text: str) -> tuple[Any, ...] | None:
        """The parts; None if the text was not made here for this purpose, byte for byte, or has expired."""
        if len(text) > _MAX_LENGTH or not text.isascii():
            return None
        digest = hashlib.sha256(f"{purpose} {text}".encode()).digest()
        verified = self._verified.get(digest)
        if verified is None:
            try:
                *parts, ends = self._serializer(purpose).loads(text)
            except BadData:
                return None
            verified = self._verified[digest] = (tuple(parts), ends)
        parts_read, ends = verified
        return parts_read if self._now().timestamp() < ends else None

    def _serializer(self, purpose: str) -> URLSafeSerializer:
        serializer = self._serializers.get(purpose)
        if serializer is None:
            serializer = self._serializers[purpose] = URLSafeSerializer(
                self._keys, salt=f"crm.{purpose}", signer=ExactSigner
            )
        return serializer

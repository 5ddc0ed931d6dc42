"""Texts that only this instance can have made, for one purpose and until one moment: itsdangerous under our clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from cachetools import LRUCache
from itsdangerous import BadData, URLSafeSerializer

from crm_core.workspace.signer import ExactSigner

_CACHED = 4096  # verified texts; past it the longest unused goes
_LONGEST = 4096  # characters, which is all that a browser keeps of a cookie (RFC 6265, 6.1)


class SignedTexts:
    """Makes and reads signed texts. ``secret_keys``: the instance's; the newest, first, signs and all of them read.

    What a text holds can be read by whoever has it, so no secret goes in; what it holds is bound to its purpose.
    """

    def __init__(self, secret_keys: Iterable[bytes], now: Callable[[], datetime]) -> None:
        # itsdangerous signs with the last key of its list.
        self._keys = list(reversed(tuple(secret_keys)))
        self._now = now
        self._boxes: dict[str, URLSafeSerializer] = {}
        # Verifying takes 20 us. By digest, since a cache should hold no credentials.
        self._verified: LRUCache[bytes, tuple[tuple[Any, ...], int]] = LRUCache(_CACHED)

    def make(self, purpose: str, *parts: str | int, lifetime: timedelta) -> str:
        """A text of these parts that can be read for ``lifetime``. Purposes are a few fixed words."""
        ends = int((self._now() + lifetime).timestamp())
        made = self._box(purpose).dumps([*parts, ends])
        return made if isinstance(made, str) else made.decode()

    def read(self, purpose: str, text: str) -> tuple[Any, ...] | None:
        """The parts; None if the text was not made here for this purpose, byte for byte, or its time is over."""
        if len(text) > _LONGEST or not text.isascii():
            return None
        digest = hashlib.sha256(f"{purpose} {text}".encode()).digest()
        verified = self._verified.get(digest)
        if verified is None:
            try:
                *parts, ends = self._box(purpose).loads(text)
            except BadData:
                return None
            verified = self._verified[digest] = (tuple(parts), ends)
        made_of, ends = verified
        return made_of if self._now().timestamp() < ends else None

    def _box(self, purpose: str) -> URLSafeSerializer:
        box = self._boxes.get(purpose)
        if box is None:
            box = self._boxes[purpose] = URLSafeSerializer(self._keys, salt=f"crm.{purpose}", signer=ExactSigner)
        return box

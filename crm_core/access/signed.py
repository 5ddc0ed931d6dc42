"""Texts that only this instance can have made, for one purpose and until one moment: itsdangerous under our clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

_KEPT = 4096  # good texts at hand


class SignedTexts:
    """Makes and reads signed texts. ``secret_keys``: the instance's; the newest, first, signs and all of them read.

    What a text holds can be read by whoever has it, so no secret goes in; what it holds is bound to its purpose.
    """

    def __init__(self, secret_keys: Iterable[bytes], now: Callable[[], datetime]) -> None:
        # itsdangerous signs with the last key of its list.
        self._keys = list(reversed(tuple(secret_keys)))
        self._now = now
        self._boxes: dict[str, URLSafeSerializer] = {}
        self._known: dict[tuple[str, str], tuple[tuple[Any, ...], int]] = {}  # verified before: it takes 20 us

    def make(self, purpose: str, *parts: str | int, lifetime: timedelta) -> str:
        """A text of these parts that can be read for ``lifetime``. Purposes are a few fixed words."""
        ends = int((self._now() + lifetime).timestamp())
        made = self._box(purpose).dumps([*parts, ends])
        return made if isinstance(made, str) else made.decode()

    def read(self, purpose: str, text: str) -> tuple[Any, ...] | None:
        """The parts; None where the text was not made here for this purpose, or its time is over."""
        known = self._known.get((purpose, text))
        if known is None:
            try:
                *parts, ends = self._box(purpose).loads(text)
            except (BadData, UnicodeEncodeError):
                return None
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[purpose, text] = (tuple(parts), ends)
        parts_of_it, ends = known
        return parts_of_it if self._now().timestamp() < ends else None

    def _box(self, purpose: str) -> URLSafeSerializer:
        box = self._boxes.get(purpose)
        if box is None:
            # The signer's own default digest is SHA-1.
            box = URLSafeSerializer(self._keys, salt=f"crm.{purpose}", signer_kwargs={"digest_method": hashlib.sha256})
            self._boxes[purpose] = box
        return box

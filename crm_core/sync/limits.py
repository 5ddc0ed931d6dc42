"""The limit of unverified attempts from one source."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from crm_core.model.sources import counted_as

_WINDOW: Final = 60
_SOURCES: Final = 10_000  # sources with their own count in a window; the rest share one
_SHARED: Final = "others"


class Over(msgspec.Struct, frozen=True):
    """A source is past its limit. ``entry_id`` and ``count``: of the one log entry for all attempts past it."""

    entry_id: str
    count: int
    retry_after: int


class UnverifiedLimit:
    """Counts by source in windows of a minute. Verified attempts are neither counted nor delayed."""

    def __init__(self, per_minute: int, now: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._per_minute = per_minute
        self._now = now
        self._new_id = new_id
        self._window = 0
        self._counts: dict[str, int] = {}
        self._over: dict[tuple[str, str], tuple[str, int]] = {}

    def spend(self, source: str | None, tenant: str) -> Over | None:
        """Count one attempt; an Over if the source is past its limit."""
        seconds = self._now().timestamp()
        window = int(seconds // _WINDOW)
        if window != self._window:
            self._window, self._counts, self._over = window, {}, {}
        name = counted_as(source)
        if name not in self._counts and len(self._counts) >= _SOURCES:
            name = _SHARED
        self._counts[name] = self._counts.get(name, 0) + 1
        if self._counts[name] <= self._per_minute:
            return None
        entry_id, count = self._over.get((name, tenant)) or (self._new_id(), 0)
        self._over[name, tenant] = entry_id, count + 1
        return Over(entry_id, count + 1, int((window + 1) * _WINDOW - seconds) + 1)

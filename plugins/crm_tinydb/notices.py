"""The notices of a tenant's latest units for event streams, and the streams that wait for more."""

from __future__ import annotations

import asyncio
from collections import deque

from crm_core.plugin.query import StoredNotice
from crm_core.plugin.unit import Notice

CAPACITY = 4096  # notices


class Notices:
    """The latest notices, complete for all units after ``_known_from``."""

    def __init__(self, seq: int) -> None:
        self.seq = self._known_from = seq
        self._recent: deque[StoredNotice] = deque()
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def has_waiters(self) -> bool:
        """Whether a stream waits."""
        return bool(self._waiters)

    def add(self, seq: int, notices: tuple[Notice, ...]) -> None:
        """Add a unit's notices, and wake waiters even if it has none."""
        self.seq = seq
        for notice in notices:
            self._recent.append(StoredNotice(seq, notice))
            if len(self._recent) > CAPACITY:
                self._known_from = self._recent.popleft().seq
        if self._waiters:
            self.wake()

    def wake(self) -> None:
        """Wake all waiters."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self, after: int) -> None:
        """Return when a unit after ``after`` exists; may return early."""
        if self.seq <= after:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def after(self, after: int, limit: int) -> tuple[StoredNotice, ...] | None:
        """Notices of later units; None if some are no longer, or not yet, known."""
        if after < self._known_from or after > self.seq:
            return None
        found = [notice for notice in self._recent if notice.seq > after]
        if len(found) > limit:
            last = found[limit - 1].seq  # a unit's notices stay together, or the next call would miss some
            found = [notice for at, notice in enumerate(found) if at < limit or notice.seq == last]
        return tuple(found)

"""What a tenant's latest units told event streams, and who waits for more."""

from __future__ import annotations

import asyncio
from collections import deque

from crm_core.plugin.query import StoredNotice
from crm_core.plugin.unit import Notice

KEPT = 4096  # notices


class Notices:
    """The notices of the latest units. ``known_from``: those of all units after this one are here."""

    def __init__(self, seq: int) -> None:
        self.seq = self._known_from = seq
        self._told: deque[StoredNotice] = deque()
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def add(self, seq: int, notices: tuple[Notice, ...]) -> None:
        """Take a unit's notices; also a unit without any wakes those who wait."""
        self.seq = seq
        for notice in notices:
            self._told.append(StoredNotice(seq, notice))
            if len(self._told) > KEPT:
                self._known_from = self._told.popleft().seq
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        """Let all who wait look."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def wait(self, after: int) -> None:
        """Return once there is a unit after ``after``; may return early."""
        if self.seq <= after:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)

    def after(self, after: int, limit: int) -> tuple[StoredNotice, ...] | None:
        """Notices of later units; None where some are no longer, or not yet, known."""
        if after < self._known_from or after > self.seq:
            return None
        found = [told for told in self._told if told.seq > after]
        if len(found) > limit:
            last = found[limit - 1].seq  # a unit's notices stay together, or the next call would miss some
            found = [told for at, told in enumerate(found) if at < limit or told.seq == last]
        return tuple(found)

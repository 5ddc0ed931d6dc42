"""The readers that wait for a tenant's next unit."""

from __future__ import annotations

import asyncio


class Waiters:
    """Readers that wait for a unit after those up to ``seq``."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self._waiters: set[asyncio.Future[None]] = set()

    def __bool__(self) -> bool:
        return bool(self._waiters)

    def reached(self, seq: int) -> None:
        """Wake all waiters: there is a unit more."""
        self.seq = seq
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

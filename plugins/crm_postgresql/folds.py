"""Folds by themselves: the retention of each tenant that is written to, and partitions, once a day in each process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from crm_core.errors import CrmError

_EVERY: Final = 86_400.0  # seconds


class Folds:
    """When each tenant is due, by the loop's clock; one fold at a time."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}  # the earliest first
        self._waiting: dict[str, Callable[[str], Awaitable[None]]] = {}
        self._task: asyncio.Task[None] | None = None

    def due(self, tenant: str, fold: Callable[[str], Awaitable[None]]) -> None:
        """Fold a tenant that was written to, if its day is over."""
        now = asyncio.get_running_loop().time()
        if self._due.get(tenant, 0.0) <= now:
            while self._due and self._due[earliest := next(iter(self._due))] <= now:  # of a tenant that is gone, too
                del self._due[earliest]
            self._due[tenant] = now + _EVERY
            self._waiting[tenant] = fold
            if self._task is None:
                self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                tenant, fold = self._waiting.popitem()
                with suppress(CrmError):  # the next day's, or crm tenant fold, does it
                    await fold(tenant)
        finally:
            self._task = None

    async def close(self) -> None:
        """Start no more."""
        self._waiting.clear()
        if self._task is not None:
            await asyncio.wait({self._task})

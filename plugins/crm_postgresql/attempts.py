"""Unverified attempts: written right after their requests; those that follow soon, together after a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from crm_core.errors import CrmError, UnknownTenant
from crm_core.model.log import LogEntry
from crm_postgresql.database import Database
from crm_postgresql.units import entry_columns

_INTERVAL: Final = 0.3  # seconds between two times of writing
_MOST: Final = 10_000  # of a tenant that wait; the oldest goes
_encode = msgspec.json.Encoder().encode


class Attempts:
    """The attempts that are not in the database yet. ``limit``: how many of a tenant stay there.

    ``forget`` is called with a tenant that turns out to be unknown.
    """

    def __init__(self, database: Database, limit: int, forget: Callable[[str], None]) -> None:
        self._database, self._limit, self._forget = database, limit, forget
        self._waiting: dict[str, dict[str, LogEntry]] = {}
        self._flushing: asyncio.Task[None] | None = None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._written: dict[str, dict[str, LogEntry]] = {}  # of each tenant, those that are being written

    def add(self, tenant: str, entry: LogEntry) -> None:
        """Add an attempt, replacing one with its id."""
        waiting = self._waiting.setdefault(tenant, {})
        waiting[entry.id] = msgspec.structs.replace(entry, seq=None, prev_hash=None, entry_hash=None)
        if len(waiting) > _MOST:
            del waiting[next(iter(waiting))]
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while self._waiting:
                for tenant in list(self._waiting):  # other processes read only what is written
                    with suppress(CrmError):
                        await self.write(tenant)
                await asyncio.sleep(_INTERVAL)
        finally:
            self._flushing = None

    async def write(self, tenant: str) -> None:
        """Write a tenant's attempts now. Raises StorageUnavailable, StorageFull; they wait then."""
        lock = self._locks.setdefault(tenant, asyncio.Lock())  # a tenant that is locked delays no other one's log
        async with lock:  # those that are being written now are readable only then
            waiting = self._waiting.pop(tenant, {})
            if not waiting:
                return
            rows = [
                {**entry_columns(each), "count": each.count, "entry": _encode(each).decode()}
                for each in waiting.values()
            ]
            self._written[tenant] = waiting
            try:
                await self._database.rows("SELECT crm.note(%s, %s, %s)", (tenant, _encode(rows), self._limit))
            except UnknownTenant:
                self._forget(tenant)
            except BaseException:  # a reader of the log that left, too
                self._wait_again(tenant, waiting)
                raise
            finally:
                del self._written[tenant]

    def _wait_again(self, tenant: str, waiting: dict[str, LogEntry]) -> None:
        newest = list((waiting | self._waiting.get(tenant, {})).items())[-_MOST:]
        if newest:
            self._waiting[tenant] = dict(newest)
            self._flush_soon()

    def drop(self, tenant: str) -> None:
        """Drop the attempts of a tenant that is gone: the next one of its name must not show them."""
        self._waiting.pop(tenant, None)
        self._written.get(tenant, {}).clear()

    async def close(self) -> None:
        """Write what waits, if that is possible now."""
        for tenant in list(self._waiting):
            with suppress(CrmError):
                await self.write(tenant)
        if self._flushing is not None:
            for lock in list(self._locks.values()):
                async with lock:  # one that is being written would be lost
                    pass
            self._flushing.cancel()
            await asyncio.wait({self._flushing})

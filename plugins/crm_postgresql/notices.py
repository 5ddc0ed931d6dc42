"""Notices of commits and removals to other processes; who waits without notices asks the store each 250 ms."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from crm_core.errors import CrmError, UnknownTenant
from crm_postgresql.database import SETTINGS, Database
from crm_postgresql.limits import WAIT
from crm_postgresql.wire import TooSlow, Wire

_CHANNEL: Final = "crm"
_GONE: Final = "-"  # before the name of a tenant that is gone; no instance's code begins with it
_POLL: Final = 0.25  # seconds between two looks without notices
_CHECK: Final = 15.0  # seconds between two looks with notices, which may be lost with a connection
_INTERVAL: Final = 0.05  # seconds between two notices of a process: at most 20 a second
_RETRY: Final = 2.0
_TRIAL: Final = 5.0  # seconds in which a notice to itself arrives
_LAST: Final = 1.0  # seconds for the last notices


class Notices:
    """Wakes those who wait for a tenant's units. ``seq`` of the store is asked before and after.

    ``forget`` is called with a tenant that is gone, and with None if any tenant may be: notices may have been lost.
    """

    def __init__(self, database: Database, forget: Callable[[str | None], None]) -> None:
        self._database, self._forget = database, forget
        self._events: dict[str, asyncio.Event] = {}
        self._changed: set[str] = set()
        self._sending: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self.heard = False  # whether notices arrive: a pooler by transactions passes on a stray one at most
        self._trial = f"?{secrets.token_hex(8)}"  # a notice to itself, the only one that proves it

    def start(self) -> None:
        """Listen, and try whether notices arrive."""
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Listen no more, and send what is left: a command ends right after its commit."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        if (sending := self._sending) is not None:
            await asyncio.wait({sending}, timeout=_LAST)
            sending.cancel()
            await asyncio.wait({sending})

    def committed(self, tenant: str) -> None:
        """Wake waiters here now, those of other processes soon."""
        self._announce(tenant, tenant)

    def gone(self, tenant: str) -> None:
        """Wake waiters for a tenant that was removed or renamed, and have other processes forget it."""
        self._announce(tenant, _GONE + tenant)

    def _announce(self, tenant: str, notice: str) -> None:
        self._wake(tenant)
        self._changed.add(notice)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    async def wait(self, tenant: str, after: int) -> None:
        """Return once the tenant has a unit after ``after``, or fewer, as a restored one. Raises UnknownTenant."""
        while True:
            event = self._events.setdefault(tenant, asyncio.Event())
            try:
                if (await self._database.rows("SELECT crm.seq(%s)", (tenant,)))[0][0] != after:
                    return
            except UnknownTenant:
                self._wake(tenant)  # nothing else drops the event of a tenant that is gone
                raise
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK if self.heard else _POLL):
                    await event.wait()

    def _wake(self, tenant: str) -> None:
        if (event := self._events.pop(tenant, None)) is not None:
            event.set()

    async def _send(self) -> None:
        try:
            while self._changed:
                changed, self._changed = self._changed, set()
                with suppress(CrmError):  # a notice only wakes; who gets none looks by itself
                    await self._database.rows(
                        "SELECT pg_notify(%s, tenant) FROM unnest(%s::text[]) tenant", (_CHANNEL, sorted(changed))
                    )
                await asyncio.sleep(_INTERVAL)
        finally:
            self._sending = None

    async def _listen(self) -> None:
        while True:
            with suppress(psycopg.Error, OSError, TooSlow):
                async with await AsyncConnection.connect(self._database.dsn, connect_timeout=4, **SETTINGS) as db:
                    if not await _listens(db):
                        return
                    self._forget(None)
                    while await self._heard(db):
                        pass
            self.heard = False
            for tenant in list(self._events):
                self._wake(tenant)
            await asyncio.sleep(_RETRY)

    async def _heard(self, db: AsyncConnection[Any]) -> bool:
        """Take notices for a while. False if they arrived before and its own does not: the connection may be dead.

        A host that lost its power or its network ends no connection.
        """
        self.committed(self._trial)
        arrived = False
        async for notice in db.notifies(timeout=_TRIAL):
            arrived = arrived or notice.payload == self._trial
            self.heard = self.heard or arrived
            tenant = notice.payload.removeprefix(_GONE)
            if tenant != notice.payload:
                self._forget(tenant)
            self._wake(tenant)
        return arrived or not self.heard


async def _listens(db: AsyncConnection[Any]) -> bool:
    """Listen, unless a pooler is in between, which has its own process numbers. Raises TooSlow, psycopg.Error.

    One that works by transactions would leave a connection of others listening, and complain about each notice.
    """
    wire, end = Wire(db), asyncio.get_running_loop().time() + WAIT
    try:
        if (await wire.execute("SELECT pg_backend_pid()", (), end))[0][0] != db.info.backend_pid:
            return False
        await wire.execute("LISTEN crm", (), end)
    finally:
        wire.leave()
    return True

"""The tenants of an instance in the database, and what is known of the store as a whole."""

# ruff: noqa: D102 -- StorageBackend documents each call

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

from crm_core.errors import SetupError, StorageUnavailable, UnknownTenant
from crm_core.model.names import is_name
from crm_core.plugin.storage import StorageBackend, StorageContext, StoreState
from crm_postgresql.folds import Folds
from crm_postgresql.limits import CALL_SECONDS, LONG_SECONDS, LOOK_SECONDS, WAIT
from crm_postgresql.options import options_of

if TYPE_CHECKING:
    from crm_postgresql.connected import Connected

T = TypeVar("T")


class PostgreSQLTenants(StorageBackend):
    """The part of the backend that opens the database and knows its tenants."""

    def __init__(self) -> None:
        self._context = StorageContext(Path())
        self._connected: Connected | None = None
        self._names: set[str] = set()  # tenants that were there
        self._forgotten = 0  # how often one was forgotten: what was read before may be out of date
        self._troubled: dict[str, StoreState] = {}
        self._folds = Folds()
        self._indexed: set[str] = set()  # tenants whose documents have the indexes of this version
        self._indexing: dict[str, asyncio.Task[None]] = {}
        self._going: set[asyncio.Task[Any]] = set()  # removals and renames

    async def open(self, context: StorageContext) -> None:
        dsn, pool = options_of(context.options)
        try:
            from crm_postgresql.connected import Connected
        except ImportError:
            raise SetupError(["storage: postgresql needs psycopg: pip install 'crm-core[postgresql]'"]) from None
        self._context = context
        connected = Connected(dsn, pool, context, self._forget)
        await connected.open()
        self._connected = connected

    async def close(self) -> None:
        if self._connected is not None:
            await self._folds.close()
            for task in self._indexing.values():
                task.cancel()
            if self._going:
                await asyncio.wait(self._going, timeout=WAIT)
            await self._connected.close()
            self._connected = None

    @property
    def _on(self) -> Connected:
        if self._connected is None:
            raise StorageUnavailable("The storage is not open.")
        return self._connected

    def _key(self, tenant: str) -> str:
        return f"{self._context.instance}/{tenant}"

    async def _ready(self, tenant: str) -> str:
        """The key of a tenant whose documents have the indexes of this version. Raises as ``Database.rows``."""
        key = self._key(tenant)
        if tenant not in self._indexed:
            forgotten, task = self._forgotten, self._indexing_of(tenant)
            try:
                await self._of(tenant, asyncio.shield(task))
            except asyncio.CancelledError:
                caller = asyncio.current_task()
                if task.cancelled() and caller is not None and not caller.cancelling():  # the store closes
                    raise StorageUnavailable("The storage is not open.") from None
                raise
            if forgotten == self._forgotten:
                self._indexed.add(tenant)
        return key

    def _indexing_of(self, tenant: str) -> asyncio.Task[None]:
        """The task that indexes a tenant: one for all who wait, as each takes a connection and the tenant's lock."""
        task = self._indexing.get(tenant)
        if task is None:
            task = self._indexing[tenant] = asyncio.create_task(self._on.index(self._key(tenant)))
            task.add_done_callback(partial(self._was_indexed, tenant))
        return task

    def _was_indexed(self, tenant: str, task: asyncio.Task[None]) -> None:
        if self._indexing.get(tenant) is task:
            del self._indexing[tenant]
        if not task.cancelled():
            task.exception()  # those who waited have it; there may be none any more

    async def _of(self, tenant: str, asked: Awaitable[T]) -> T:
        """The answer of a tenant, which is forgotten if it turns out to be unknown."""
        try:
            return await asked
        except UnknownTenant:
            self._forget(self._key(tenant))
            raise

    def _forget(self, key: str | None) -> None:
        """Forget that a tenant was there, or (None) that any was; it may be of another instance."""
        self._forgotten += 1
        instance, _, tenant = (key or "").partition("/")
        if key is None:
            self._names.clear()
            self._indexed.clear()
            return
        if self._connected is not None:
            self._connected.attempts.drop(key)
        if instance == self._context.instance:
            self._names.discard(tenant)
            self._indexed.discard(tenant)
            self._indexing.pop(tenant, None)  # of the next one of its name, it has indexed nothing

    async def _rows(self, query: str, tenant: str, *arguments: Any) -> list[tuple[Any, ...]]:
        key = await self._ready(tenant)
        return await self._of(tenant, self._on.database.rows(query, (key, *arguments)))

    async def _answer(
        self, query: str, arguments: tuple[Any, ...] = (), seconds: float = CALL_SECONDS, look: float = LOOK_SECONDS
    ) -> list[tuple[Any, ...]]:
        """Rows of a query that no request of a tenant makes. Raises StorageUnavailable, which says why to operators."""
        try:
            return await self._on.database.rows(query, arguments, seconds)
        except StorageUnavailable as error:
            trouble = await self._on.database.trouble(look)
            why = f"The database cannot be used: {trouble}" if trouble else error.operator_detail
            raise StorageUnavailable(error.detail, retry_after=2, operator_detail=why) from None

    async def tenants(self) -> list[str]:
        rows = await self._on.database.rows(
            "SELECT name FROM crm.tenants WHERE instance = %s ORDER BY name", (self._context.instance,)
        )
        return [name for (name,) in rows]

    async def count_tenants(self) -> int:
        query = "SELECT count(*) FROM crm.tenants WHERE instance = %s"
        number: int = (await self._on.database.rows(query, (self._context.instance,)))[0][0]
        return number

    async def has(self, tenant: str) -> bool:
        if tenant in self._names:
            return True
        query, forgotten = "SELECT 1 FROM crm.tenants WHERE instance = %s AND name = %s", self._forgotten
        if not await self._on.database.rows(query, (self._context.instance, tenant)):
            return False
        if forgotten == self._forgotten:
            self._names.add(tenant)
        return True

    async def create(self, tenant: str) -> None:
        await self._add(tenant)
        epoch, query = token_hex(8), "SELECT crm.create_tenant(%s, %s, %s)"
        if (await self._on.database.rows(query, (self._context.instance, tenant, epoch)))[0][0] != epoch:
            raise _taken(tenant)

    async def _add(self, tenant: str) -> None:
        """Raise SetupError unless a tenant can be made under a name."""
        if not is_name(tenant):
            raise SetupError([f"{tenant!r} cannot be a tenant's name: use a-z, 0-9 and inner hyphens, at most 63"])
        self._names.discard(tenant)
        if await self.has(tenant):
            raise _taken(tenant)

    async def _is(self, tenant: str, epoch: str) -> bool:
        """Whether a tenant was made with an epoch. Raises SetupError if the name has another one."""
        query = "SELECT crm.epoch(%s, %s)"
        found = (await self._on.database.rows(query, (self._context.instance, tenant)))[0][0]
        if found not in (None, epoch):
            raise _taken(tenant)
        return bool(found == epoch)

    async def _epoch(self, tenant: str) -> str:
        """The epoch of a tenant. Raises UnknownTenant."""
        return str((await self._rows("SELECT epoch FROM crm.changes(%s, NULL, 0)", tenant))[0][0])

    async def mark(self) -> bytes:
        query = "SELECT encode(mark, 'hex') FROM crm.marks WHERE instance = %s"
        rows = await self._answer(query, (self._context.instance,))
        return bytes.fromhex(rows[0][0]) if rows else b""

    async def set_mark(self, mark: bytes) -> None:
        query = "INSERT INTO crm.marks VALUES (%s, convert_to(%s, 'UTF8')) ON CONFLICT (instance)"
        query += " DO UPDATE SET mark = excluded.mark"
        if not mark:
            query = "DELETE FROM crm.marks WHERE instance = %s AND %s = ''"
        await self._on.database.rows(query, (self._context.instance, mark))

    async def alive(self, process: str, seconds: int) -> frozenset[str]:
        if seconds:
            await self._on.check_again()
        query = "SELECT crm.alive(%s, %s, %s)"
        rows = await self._on.database.rows(query, (self._context.instance, process, seconds))
        return frozenset(name for (name,) in rows)

    async def rename(self, tenant: str, name: str) -> None:
        epoch = await self._epoch(tenant)
        await self._add(name)
        await self._on.attempts.write(self._key(tenant))
        arguments = self._context.instance, tenant, name, epoch
        done = await self._going_rows(tenant, "SELECT crm.rename_tenant(%s, %s, %s, %s)", arguments)
        if not done[0][0]:
            raise _taken(name)

    async def remove(self, tenant: str) -> None:
        arguments = self._context.instance, tenant, await self._epoch(tenant)
        await self._going_rows(tenant, "SELECT crm.remove_tenant(%s, %s, %s)", arguments)

    async def _going_rows(self, tenant: str, query: str, arguments: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Rows of a statement after which a tenant is gone. It continues if the caller leaves, as the database does."""
        task = asyncio.create_task(self._on.database.rows(query, arguments, LONG_SECONDS))
        self._going.add(task)
        task.add_done_callback(partial(self._gone, tenant))
        return await asyncio.shield(task)

    def _gone(self, tenant: str, task: asyncio.Task[Any]) -> None:
        """Forget a tenant on every process: those who wait for its units wake, and its pushes are 404 first of all.

        Also after an error, as it may be gone nevertheless.
        """
        self._going.discard(task)
        if not task.cancelled():
            task.exception()  # those who waited have it
        self._forget(self._key(tenant))
        if self._connected is not None:
            self._connected.notices.gone(self._key(tenant))

    async def migrate(self) -> tuple[str, ...]:
        return await self._on.migrate()


def _taken(tenant: str) -> SetupError:
    return SetupError([f"tenant {tenant} exists already: choose another name, or rename that one with crm tenant move"])

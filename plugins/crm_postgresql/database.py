"""The connections to the database: a pool, one statement a call, and the errors of the interface."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, errors
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from crm_core.errors import CrmError, SetupError, StorageFull, StorageUnavailable, UnknownTenant
from crm_postgresql.limits import CALL_SECONDS, HASTY_SECONDS, LOOK_SECONDS, WAIT
from crm_postgresql.wire import TooSlow, Wire, is_quiet

_UNKNOWN_TENANT: Final = "CT404"  # raised by crm.store
# Of each connection. The encoding that the environment or the role names may be another one than texts are sent in.
SETTINGS: Final[dict[str, Any]] = {"autocommit": True, "client_encoding": "UTF8"}
_ATTEMPTS: Final = 3
_HASTE: Final = 5.0  # seconds after a call that failed for its time in which calls get less of it


class Database:
    """A pool of connections. ``dsn`` may name several hosts; ``size`` connections at most.

    ``check``: looks at each new connection, and raises SetupError if the database or the role must not be used.
    """

    def __init__(self, dsn: str, size: int, check: Callable[[AsyncConnection[Any]], Awaitable[None]]) -> None:
        self.dsn, self._check = dsn, check
        self._hasty_until = 0.0
        self._size, self._open = size, 0  # connections: at most, and those that are not in the pool
        self._idle: list[Wire] = []
        self._turns: dict[asyncio.Future[Wire], None] = {}  # of calls that wait for a connection, in their order
        self._connecting: set[asyncio.Task[bool]] = set()
        self._closing = False
        # It warns of each try, several a second. Callers get each reason, and the server logs its first and its end.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._pool = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=size,
            open=False,
            timeout=WAIT,
            configure=check,
            check=_check_idle,
            reconnect_timeout=1.5,  # then the next call tries, which is soon, and not when a longer pause is over
            # Prepared statements belong to a connection, and a pooler may give each transaction another one.
            kwargs={**SETTINGS, "prepare_threshold": None, "connect_timeout": 4, "application_name": "crm"},
        )

    async def open(self) -> None:
        """Connect from now on, also while the database does not answer."""
        await self._pool.open(wait=False)

    async def look(self, seconds: float = LOOK_SECONDS) -> None:
        """Connect and check, apart from the pool. Raises SetupError, psycopg.Error."""
        try:
            async with asyncio.timeout(seconds):
                async with await AsyncConnection.connect(self.dsn, connect_timeout=2, **SETTINGS) as connection:
                    await self._check(connection)
        except TimeoutError:
            raise psycopg.OperationalError(f"it did not answer within {seconds:g} seconds") from None

    async def trouble(self, seconds: float) -> str:
        """Why the database cannot be used now, for operators; empty if it can."""
        try:
            await self.look(seconds)
        except (psycopg.Error, SetupError) as error:
            return first_line(error)
        return ""

    async def close(self) -> None:
        """Close all connections."""
        self._closing = True
        while self._idle:
            await self._to_pool(self._idle.pop())
        await self._pool.close(timeout=2)
        if self._connecting:
            await asyncio.wait(self._connecting)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection for several statements. Raises StorageUnavailable, StorageFull, UnknownTenant."""
        try:
            wire = await self._taken(WAIT)
            wire.leave()  # psycopg reads the answers itself
            try:
                async with wire.connection:
                    yield wire.connection
            finally:
                await self._to_pool(wire)
        except psycopg.Error as error:
            raise refusal(error) from None

    async def _taken(self, seconds: float) -> Wire:
        """The connection that was used last, or else the first that is free, in the order of the calls."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            wire = self._idle.pop() if self._idle else await self._turn(end)
            if is_quiet(wire.connection):  # the database may end it on its way to a call, too
                return wire
            await wire.close()  # or the pool would offer it again
            await self._to_pool(wire)

    async def _turn(self, end: float) -> Wire:
        """The first connection that is free by ``end`` of the loop's clock."""
        if self._closing:
            raise PoolClosed
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Wire] = loop.create_future()
        timer = loop.call_at(end, _give_up, turn)
        self._turns[turn] = None
        self._connect()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                await self._give_back(turn.result())
            raise
        finally:
            timer.cancel()
            self._turns.pop(turn, None)

    def _connect(self) -> None:
        """Take connections from the pool, which knows when to make one: for each call that waits, up to its size."""
        while len(self._connecting) < len(self._turns) and self._open < self._size and not self._closing:
            self._open += 1
            task = asyncio.create_task(self._from_pool())
            self._connecting.add(task)
            task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[bool]) -> None:
        self._connecting.discard(task)
        given = False
        try:
            given = not task.cancelled() and task.result()
        finally:  # for any reason: a place that stayed taken would be lost until the process ends
            self._open -= not given
            self._connect()

    async def _from_pool(self) -> bool:
        """Whether the pool gave a connection in time."""
        try:
            wire = Wire(await self._pool.getconn(timeout=WAIT))
        except psycopg.Error:  # who waited as long has given up
            return False
        await self._give_back(wire)
        return True

    def _offer(self, wire: Wire) -> None:
        for turn in self._turns:
            if not turn.done():
                del self._turns[turn]
                turn.set_result(wire)
                return
        self._idle.append(wire)

    async def _give_back(self, wire: Wire) -> None:
        if self._closing or wire.connection.closed:
            await self._to_pool(wire)
        else:
            self._offer(wire)

    async def _to_pool(self, wire: Wire) -> None:
        wire.leave()
        self._open -= 1
        await self._pool.putconn(wire.connection)
        self._connect()

    async def drop_idle(self) -> None:
        """Close what is idle: after a call without an answer, as from a host that is gone, it may be as dead."""
        idle, self._idle = self._idle, []
        for wire in idle:
            await wire.close()
            await self._to_pool(wire)

    async def rows(
        self, query: str, arguments: Sequence[Any] = (), seconds: float = CALL_SECONDS
    ) -> list[tuple[Any, ...]]:
        """The rows of one statement, which may take so many seconds. It may be sent again, so it must be repeatable.

        Raises StorageUnavailable, StorageFull, UnknownTenant.
        """
        end = asyncio.get_running_loop().time() + seconds
        for attempt in range(_ATTEMPTS):
            try:
                return await self.statement(query, arguments, end)
            except (PoolTimeout, TooSlow):
                raise StorageUnavailable("The database does not answer.", retry_after=2) from None
            except psycopg.Error as error:
                # A connection that the database closed while it was idle says so at its next use.
                again = isinstance(error, errors.SerializationFailure | errors.DeadlockDetected) or is_broken(error)
                if attempt == _ATTEMPTS - 1 or not again:
                    raise refusal(error) from None
        raise AssertionError("the last attempt returns or raises")

    async def statement(self, query: str, arguments: Sequence[Any], end: float) -> list[tuple[Any, ...]]:
        """The rows of one statement that is sent once, by ``end`` of the loop's clock.

        Raises psycopg.Error, PoolTimeout, TooSlow.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        is_patient = end - now >= HASTY_SECONDS  # a probe that gave up soon says nothing about other calls
        if now < self._hasty_until:
            end = min(end, now + HASTY_SECONDS)
        try:
            wire = await self._taken(min(WAIT, end - now))
            try:
                rows = await wire.execute(query, arguments, end)
            finally:
                await self._give_back(wire)
        except (PoolTimeout, TooSlow) as error:
            if is_patient:
                self._hasty_until = loop.time() + _HASTE
                if isinstance(error, TooSlow):
                    await self.drop_idle()
            raise
        self._hasty_until = 0.0
        return rows


def _give_up(turn: asyncio.Future[Wire]) -> None:
    if not turn.done():
        turn.set_exception(PoolTimeout())


async def _check_idle(connection: AsyncConnection[Any]) -> None:
    """Raise OperationalError if the database has closed an idle connection of the pool."""
    if not is_quiet(connection):
        await connection.close()  # or the pool would offer it again
        raise psycopg.OperationalError


def is_broken(error: psycopg.Error) -> bool:
    """Whether the connection is gone: the error has no code, or says that the server shuts down."""
    code = error.sqlstate
    return isinstance(error, psycopg.OperationalError) and (code is None or code.startswith(("57P", "08")))


def refusal(error: psycopg.Error) -> CrmError:
    """The interface's error for one of the database."""
    state = error.sqlstate or ""
    if state == _UNKNOWN_TENANT:
        return UnknownTenant("This instance has no such tenant.")
    if state in ("53100", "53000", "54000"):
        return StorageFull("The database has no space left. Free some, then try again.", retry_after=30)
    if state == "25006":
        return StorageUnavailable("The database accepts no writes: it is a standby, or set read-only.", retry_after=2)
    why = f"The database cannot be used now ({type(error).__name__})."
    return StorageUnavailable("The database cannot be used now.", retry_after=2, operator_detail=why)


def first_line(error: Exception) -> str:
    """The first line of an error, without the advice after it."""
    return str(error).strip().partition("\n")[0]

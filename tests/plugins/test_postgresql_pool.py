"""Connections of the pool that the server ends, that a call leaves, and that are there when the pool closes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import psycopg
import pytest
from psycopg import AsyncConnection

from crm_core.errors import StorageUnavailable
from crm_postgresql.database import Database
from crm_postgresql.wire import TooSlow, Wire, is_quiet
from postgresql_proxy import Proxy
from postgresql_server import Server

PID = "SELECT pg_backend_pid()"
STATEMENTS = 3  # sent at the same time, each on another connection


async def accept(_: AsyncConnection[object]) -> None:
    """Look at no connection."""


@pytest.fixture
async def database(postgresql: Server) -> AsyncIterator[Database]:
    database = Database(postgresql.migrated, STATEMENTS, accept)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def admin(postgresql: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgresql.admin, autocommit=True) as db:
        yield db


async def pids(database: Database) -> set[int]:
    """The server's processes of as many connections as the pool may have, each of which waits for a lock."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted"
    with psycopg.connect(database.dsn, autocommit=True) as db:
        db.execute("SELECT pg_advisory_lock(7)")
        query = f"{PID}, pg_advisory_xact_lock_shared(7)::text"
        calls = [asyncio.create_task(database.rows(query)) for _ in range(STATEMENTS)]
        while db.execute(waiting).fetchone() != (STATEMENTS,):  # noqa: ASYNC110 -- the server sends no signal
            await asyncio.sleep(0.01)
    return {answer[0][0] for answer in await asyncio.gather(*calls)}


def end(admin: psycopg.Connection, processes: set[int]) -> None:
    """End processes of the server, and wait until they are gone."""
    for pid in processes:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


async def sent_once(database: Database) -> int:
    """The process that does a statement which is never sent again, such as a commit."""
    rows = await database.statement(PID, (), asyncio.get_running_loop().time() + 10)
    return int(rows[0][0])


async def test_a_statement_that_is_sent_once_gets_a_whole_connection(
    database: Database, admin: psycopg.Connection
) -> None:
    """However many idle connections the server has ended, none of them is used for it."""
    before = await pids(database)
    assert len(before) == STATEMENTS
    end(admin, before)
    assert await sent_once(database) not in before
    after = await pids(database)
    assert len(after) == STATEMENTS
    assert not after & before


async def test_one_call_without_an_answer_is_enough(postgresql: Server) -> None:
    """A host that is gone ends no connection: the next call does not try the others, one after the other."""
    with Proxy(postgresql.migrated) as proxy:
        database = Database(proxy.dsn, STATEMENTS, accept)
        await database.open()
        assert len(await pids(database)) == STATEMENTS
        proxy.mute()
        with pytest.raises(TooSlow):
            await database.statement(PID, (), asyncio.get_running_loop().time() + 1.3)
        assert await sent_once(database)
        await database.close()


async def test_a_connection_that_was_never_used_may_have_ended(database: Database, admin: psycopg.Connection) -> None:
    """The pool's first connection ends before the first statement, which gets another one."""
    await database._pool.wait(10)
    first = database._pool._pool[0].info.backend_pid
    end(admin, {first})
    assert await sent_once(database) != first


async def test_a_connection_that_breaks_in_a_call_leaves_its_place(database: Database) -> None:
    """Calls that break every connection at the same time leave room for as many new ones."""
    for _ in range(2):
        broken = (database.rows("SELECT pg_terminate_backend(pg_backend_pid())") for _ in range(STATEMENTS))
        refused = await asyncio.gather(*broken, return_exceptions=True)
        assert {type(each) for each in refused} == {StorageUnavailable}
    assert len(await pids(database)) == STATEMENTS


async def test_a_connection_that_is_not_waited_for_leaves_its_place(database: Database) -> None:
    """However often waiting for one is cancelled, the call gets its connection, and as many others have room."""
    for turns in range(2 * STATEMENTS):
        call = asyncio.create_task(database.rows(PID))
        while not database._connecting:  # noqa: ASYNC110 -- it begins in one of the next turns
            await asyncio.sleep(0)
        for _ in range(turns // 2):  # it has not begun, or is somewhere in the pool
            await asyncio.sleep(0)
        for connecting in database._connecting:
            connecting.cancel()
        assert await call, turns
        await database._to_pool(database._idle.pop())
    assert database._open == 0
    assert len(await pids(database)) == STATEMENTS


async def test_a_call_that_outlives_the_pool_closes_its_connection(
    database: Database, admin: psycopg.Connection
) -> None:
    """A connection that comes back after the end is not used for a next call."""
    call = asyncio.create_task(database.rows(f"{PID}, pg_sleep(2)"))
    running = "SELECT FROM pg_stat_activity WHERE query LIKE '%%, pg_sleep(2)' AND state = 'active' AND pid <> %s"
    while not admin.execute(running, (admin.info.backend_pid,)).fetchall():  # noqa: ASYNC110 -- no signal
        await asyncio.sleep(0.01)
    await database.close()
    ((pid, _),) = await call
    gone = "SELECT FROM pg_stat_activity WHERE pid = %s"
    while admin.execute(gone, (pid,)).fetchall():  # noqa: ASYNC110 -- no signal; the test's time ends it
        await asyncio.sleep(0.01)


async def test_a_connection_that_ends_on_its_way_to_a_call_is_not_used(
    database: Database, admin: psycopg.Connection
) -> None:
    """A call that waits for its turn would wait for an answer on it until its time is over."""
    taken = [await database._taken(10) for _ in range(STATEMENTS)]
    call = asyncio.create_task(sent_once(database))
    end(admin, {wire.connection.info.backend_pid for wire in taken})
    while any(wire._is_watched for wire in taken):  # noqa: ASYNC110 -- the loop sees their end, without an event
        await asyncio.sleep(0.01)
    for wire in taken:
        await database._give_back(wire)
    assert await asyncio.wait_for(call, 5)


async def connected(dsn: str) -> Wire:
    return Wire(await AsyncConnection.connect(dsn, autocommit=True))


async def test_a_connection_that_ends_while_it_is_idle_is_watched_no_more(
    postgresql: Server, admin: psycopg.Connection
) -> None:
    """Its socket stays readable: a watch would run in every turn of the loop."""
    wire = await connected(postgresql.migrated)
    loop, number = asyncio.get_running_loop(), wire.connection.fileno()
    end(admin, {wire.connection.info.backend_pid})
    while is_quiet(wire.connection):  # noqa: ASYNC110 -- the loop may have read it already
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not loop.remove_reader(number)
    await wire.close()
    assert not is_quiet(wire.connection)


async def test_a_call_that_is_cancelled_while_it_sends_leaves_no_watch(postgresql: Server) -> None:
    """The number of its socket may be another's in the same turn."""
    with Proxy(postgresql.migrated) as proxy:
        wire = await connected(proxy.dsn)
        loop, number = asyncio.get_running_loop(), wire.connection.fileno()
        proxy.stall()
        call = asyncio.create_task(wire.execute("SELECT length(%s)", ("a" * (32 << 20),), loop.time() + 60))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        assert (loop.remove_writer(number), loop.remove_reader(number)) == (False, False)


async def test_a_connection_is_watched_by_its_call_alone(database: Database) -> None:
    """One that psycopg uses, or that went back to the pool, is not watched."""
    loop = asyncio.get_running_loop()
    await sent_once(database)
    async with database.connection() as connection:
        assert not loop.remove_reader(connection.fileno())
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)
    await sent_once(database)
    number = database._idle[0].connection.fileno()
    await database.close()
    assert not loop.remove_reader(number)

"""Faults of a database that answers, and plans that do not depend on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import (
    Committed,
    StorageContext,
    Unit,
)  # fmt: skip
from crm_core.testing.storage import entry, put
from crm_postgresql.database import refusal
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import Server

_numbers = count(1)


async def opened(dsn: str, folder: Path, instance: str, pool: int = 2) -> PostgreSQLBackend:
    store = PostgreSQLBackend()
    await store.open(StorageContext(folder, {"dsn": dsn, "pool": pool}, instance=instance))
    return store


@pytest.fixture
async def store(postgresql: Server, tmp_path: Path) -> AsyncIterator[PostgreSQLBackend]:
    store = await opened(postgresql.migrated, tmp_path, f"fault{next(_numbers)}")
    await store.create("north")
    yield store
    await store.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.DiskFull, StorageFull),
        (errors.InsufficientResources, StorageFull),
        (errors.ReadOnlySqlTransaction, StorageUnavailable),
        (errors.LockNotAvailable, StorageUnavailable),
        (errors.AdminShutdown, StorageUnavailable),
        (errors.TooManyConnections, StorageUnavailable),
    ],
)
def test_an_error_of_the_database_is_one_of_the_interface(error: type[psycopg.Error], kind: type[Exception]) -> None:
    """No space is 507, everything else 503; both say when to try again, and neither what the database said."""
    refused = refusal(error("could not extend file base/1/2: no space left"))
    assert type(refused) is kind
    assert refused.retry_after
    assert "base/1/2" not in refused.detail


async def test_without_a_free_connection_calls_are_refused(store: PostgreSQLBackend) -> None:
    """They wait two seconds at most, and work once there is one."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(store._on.database.connection())
        for refused in (store.get("north", "notes", "a"), store.commit("north", Unit(now=1, puts=(put("a"),)))):
            with pytest.raises(StorageUnavailable):
                await refused
    assert isinstance(await store.commit("north", Unit(now=1, puts=(put("a"),))), Committed)


async def test_serialization_failures_are_tried_again(
    store: PostgreSQLBackend, postgresql: Server, tmp_path: Path
) -> None:
    """In a database whose transactions fail when they meet: each commit is done once, or refused."""
    dsn = make_conninfo(postgresql.migrated, options="-c default_transaction_isolation=repeatable\\ read")
    stores = [await opened(dsn, tmp_path, store._context.instance) for _ in range(2)]

    async def write(each: PostgreSQLBackend, number: int) -> int:
        try:
            outcome = await each.commit("north", Unit(now=1, puts=(put(f"n{number}"),), entries=(entry(number),)))
        except StorageUnavailable:
            return 0
        assert isinstance(outcome, Committed)
        return outcome.seq

    seqs = []
    for turn in range(10):
        seqs += await asyncio.gather(*(write(each, 10 * turn + at) for at, each in enumerate(stores)))
    done = [seq for seq in seqs if seq]
    assert sorted(done) == list(range(1, len(done) + 1))
    assert await store.count("north", "notes") == len(done) >= 10
    assert (await store.verify("north")).problems == ()
    for each in stores:
        await each.close()

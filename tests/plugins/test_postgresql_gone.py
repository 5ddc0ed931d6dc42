"""Effects on the next tenant of one that is removed, renamed or replaced, or that another process has locked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import EntryQuery, StorageContext, Unit
from crm_core.testing.storage import entry
from crm_postgresql import attempts, storage
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import Server

_numbers = count(1)
_LOCK = "SELECT crm.store(%s, true)"


async def opened(context: StorageContext) -> PostgreSQLBackend:
    """A backend to which notices arrive."""
    store = PostgreSQLBackend()
    await store.open(context)
    while not store._on.notices.heard:  # noqa: ASYNC110 -- its own trial sets it, without an event
        await asyncio.sleep(0.01)
    return store


@pytest.fixture
async def stores(postgresql: Server, tmp_path: Path) -> AsyncIterator[tuple[PostgreSQLBackend, PostgreSQLBackend]]:
    """Two processes with the tenants north and south."""
    options = {"dsn": postgresql.migrated, "pool": 3}
    context = StorageContext(tmp_path, options, instance=f"gone{next(_numbers)}")
    both = await opened(msgspec.structs.replace(context, log_keep_days=1)), await opened(context)
    await both[0].create("north")
    await both[0].create("south")
    yield both
    for each in both:
        await each.close()


Both = tuple[PostgreSQLBackend, PostgreSQLBackend]


async def test_attempts_that_wait_go_with_their_tenant(stores: Both) -> None:
    """The next tenant of the name does not show them, on the process that noted them and on the one that removed it."""
    server, command = stores
    for store in stores:
        for number in (1, 2):  # the second waits for its time
            store.note("north", entry(number))
            await store.entries("south", EntryQuery())
    while any(store._on.attempts._written for store in stores):  # noqa: ASYNC110 -- writes that end without an event
        await asyncio.sleep(0.01)
    await command.remove("north")
    while server._on.attempts._waiting:  # noqa: ASYNC110 -- the notice comes from the database, without an event
        await asyncio.sleep(0)
    await command.create("north")
    for store in stores:
        assert await store.entries("north", EntryQuery()) == ()


async def test_attempts_that_cannot_be_written_stay_within_their_limit(
    stores: Both, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a write fails while others come."""
    monkeypatch.setattr(attempts, "_MOST", 10)
    store = stores[0]
    key, numbers = store._key("north"), count(1)
    with psycopg.connect(postgresql.migrated) as db:
        db.execute(_LOCK, (key,))
        for _ in range(3):
            store.note("north", entry(next(numbers)))
            while not store._on.attempts._written:  # noqa: ASYNC110 -- its task begins in one of the next turns
                await asyncio.sleep(0)
            for _ in range(12):
                store.note("north", entry(next(numbers)))
            writing = store._on.attempts._flushing
            assert writing is not None
            writing.cancel()
            await asyncio.wait({writing})
            assert len(store._on.attempts._waiting[key]) == 10
    found = await store.entries("north", EntryQuery(limit=50))
    assert [each.id for each in found[:10]] == [entry(number).id for number in range(39, 29, -1)]


async def test_a_locked_tenant_delays_no_other_log(stores: Both, postgresql: Server) -> None:
    """While attempts on one wait for its lock, the log of another one is read."""
    store = stores[0]
    with psycopg.connect(postgresql.migrated) as db:
        db.execute(_LOCK, (store._key("north"),))
        store.note("north", entry(1))
        while not store._on.attempts._written:  # noqa: ASYNC110 -- its task begins in one of the next turns
            await asyncio.sleep(0)
        await asyncio.wait_for(store.entries("south", EntryQuery()), 1.5)
        assert store._on.attempts._written


async def test_a_removal_whose_caller_leaves_is_finished(stores: Both, postgresql: Server) -> None:
    """The database does it nevertheless: every process forgets the tenant then, and who waits for its units wakes."""
    server, command = stores
    for store in stores:
        assert await store.has("north")
    waiting = asyncio.create_task(server.wait("north", 0))
    with psycopg.connect(postgresql.migrated) as db:
        db.execute(_LOCK, (command._key("north"),))
        removal = asyncio.create_task(command.remove("north"))
        while not command._going:  # noqa: ASYNC110 -- it reads the epoch before
            await asyncio.sleep(0.01)
        removal.cancel()
        await asyncio.wait({removal})
    await asyncio.wait({waiting}, timeout=5)
    assert waiting.done()
    assert waiting.exception() is not None
    for store in stores:
        assert not await store.has("north")


async def test_indexing_of_an_earlier_tenant_counts_for_no_later_one(stores: Both) -> None:
    """One that is forgotten meanwhile is looked at again, and so are all when notices were lost."""
    store = stores[0]
    real, asked, going_on = store._on.index, list[str](), asyncio.Event()

    async def index(tenant: str) -> None:
        asked.append(tenant)
        await going_on.wait()
        await real(tenant)

    store._on.index = index  # type: ignore[method-assign]
    first = asyncio.create_task(store.count("north", "notes"))
    await asyncio.sleep(0)
    store._forget(store._key("north"))
    second = asyncio.create_task(store.count("north", "notes"))
    await asyncio.sleep(0)
    going_on.set()
    assert await asyncio.gather(first, second) == [0, 0]
    assert len(asked) == 2
    store._forget(None)
    await store.count("north", "notes")
    assert len(asked) == 3


async def test_a_call_that_waits_for_indexes_is_refused_at_the_end(postgresql: Server, tmp_path: Path) -> None:
    """Its caller was not cancelled, so neither is the call."""
    context = StorageContext(tmp_path, {"dsn": postgresql.migrated, "pool": 3}, instance=f"gone{next(_numbers)}")
    store = await opened(context)
    await store.create("north")
    with psycopg.connect(postgresql.migrated) as db:
        db.execute("LOCK TABLE crm.collections")
        call = asyncio.create_task(store.count("north", "notes"))
        await asyncio.sleep(0.2)
        await store.close()
        with pytest.raises(StorageUnavailable):
            await call


async def test_a_fold_drops_nothing_of_a_tenant_that_took_the_name(
    stores: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entries are older than the newest one of the tenant that was to be folded."""
    server, command = stores
    new = entry(1).received_at
    old = [entry(number, received_at=f"20{number}-01-01T00:00:00.000Z") for number in (21, 22, 23)]
    await command.commit("north", Unit(now=1_800_000_000, entries=(entry(1),)))
    await command.commit("south", Unit(now=1_800_000_000, entries=tuple(old)))
    assert new > old[-1].received_at
    rows = server._rows

    async def replaced(query: str, tenant: str, *arguments: Any) -> Any:
        found = await rows(query, tenant, *arguments)
        if "crm.newest" in query:
            await command.remove("north")
            await command.rename("south", "north")
            await command.commit("north", Unit(now=1_800_000_000, entries=(entry(9, received_at=new),)))
        return found

    monkeypatch.setattr(server, "_rows", replaced)
    await server.fold("north")
    monkeypatch.undo()
    assert len(await server.entries("north", EntryQuery())) == 4


async def test_a_chain_is_not_continued_by_that_of_another_tenant(
    stores: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant that takes the name while the chain is read is verified again: nothing was changed in it."""
    server, command = stores
    for tenant, first in (("north", 1), ("south", 11)):
        entries = tuple(entry(number) for number in range(first, first + 5))
        await command.commit(tenant, Unit(now=1_800_000_000, entries=entries))
    monkeypatch.setattr(storage, "_CHAIN", storage._CHAIN.replace("2000", "3"))
    rows, parts = server._rows, 0

    async def replaced(query: str, tenant: str, *arguments: Any) -> Any:
        nonlocal parts
        found = await rows(query, tenant, *arguments)
        parts += "crm.chain" in query
        if parts == 1:
            parts += 1
            await command.remove("north")
            await command.rename("south", "north")
        return found

    monkeypatch.setattr(server, "_rows", replaced)
    report = await server.verify("north")
    assert (report.entries, report.problems) == (5, ())

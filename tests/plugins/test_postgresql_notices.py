"""Notices of commits to the processes that wait for them, and of tenants that are gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from crm_core.errors import UnknownTenant
from crm_core.plugin.storage import EntryQuery, OutcomeUnknown, StorageContext, Unit
from crm_core.testing.storage import entry, put
from crm_postgresql import folds, notices
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_proxy import Proxy
from postgresql_server import Server


async def opened(context: StorageContext) -> PostgreSQLBackend:
    """A backend to which notices arrive."""
    store = PostgreSQLBackend()
    await store.open(context)
    await _until_heard(store)
    return store


async def _until_heard(store: PostgreSQLBackend) -> None:
    while not store._on.notices.heard:  # noqa: ASYNC110 -- its own trial sets it, without an event
        await asyncio.sleep(0.01)


async def test_a_commit_right_before_the_end_wakes_other_processes(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command ends as soon as its unit is stored, while its trial keeps the next notice back for a moment."""
    monkeypatch.setattr(notices, "_CHECK", 3600.0)
    monkeypatch.setattr(notices, "_INTERVAL", 0.5)
    context = StorageContext(tmp_path, {"dsn": postgresql.migrated, "pool": 3}, instance="notices")
    server = await opened(context)
    await server.create("north")
    waiting = asyncio.create_task(server.wait("north", 0))
    command = await opened(context)
    await command.commit("north", Unit(now=1_800_000_000, puts=(put("n1"),)))
    await command.close()
    await asyncio.wait_for(waiting, 10)
    await server.close()


async def test_who_waits_learns_that_the_tenant_is_another_one(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant that is removed, renamed or restored ends the waits for its units, on every process."""
    monkeypatch.setattr(notices, "_CHECK", 3600.0)
    context = StorageContext(tmp_path, {"dsn": postgresql.migrated, "pool": 3}, instance="replaced")
    server, command = await opened(context), await opened(context)
    await command.create("north")
    await command.commit("north", Unit(now=1_800_000_000, puts=(put("n1"),)))
    seq = (await server.changes("north", None)).seq
    waiting = asyncio.create_task(server.wait("north", seq))
    await asyncio.sleep(0.1)
    await command.rename("north", "south")
    with pytest.raises(UnknownTenant):
        await asyncio.wait_for(waiting, 10)
    await command.create("north")
    await asyncio.wait_for(server.wait("north", seq), 10)
    waiting = asyncio.create_task(server.wait("south", seq))
    await asyncio.sleep(0.1)
    await command.remove("south")
    with pytest.raises(UnknownTenant):
        await asyncio.wait_for(waiting, 10)
    await command.close()
    await server.close()


async def test_a_connection_that_is_dead_without_an_end_is_made_again(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database host that lost its power ends no connection; who waits does not depend on its notices for long."""
    monkeypatch.setattr(notices, "_CHECK", 3600.0)
    monkeypatch.setattr(notices, "_TRIAL", 0.5)
    with Proxy(postgresql.migrated) as proxy:
        server = await opened(StorageContext(tmp_path, {"dsn": proxy.dsn, "pool": 3}, instance="dead"))
        command = await opened(StorageContext(tmp_path, {"dsn": postgresql.migrated, "pool": 3}, instance="dead"))
        await command.create("north")
        proxy.mute()
        while server._on.notices.heard:  # noqa: ASYNC110 -- time makes it false, without an event
            await asyncio.sleep(0.01)
        await asyncio.wait_for(_until_heard(server), 20)
        waiting = asyncio.create_task(server.wait("north", 0))
        await asyncio.sleep(0.1)
        await command.commit("north", Unit(now=1_800_000_000, puts=(put("n1"),)))
        await asyncio.wait_for(waiting, 10)
        await command.close()
        await server.close()


async def test_a_commit_whose_outcome_is_unknown_wakes_who_waits(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit may be stored: its process and the others look now, not a quarter of a minute later."""
    monkeypatch.setattr(notices, "_CHECK", 3600.0)
    with Proxy(postgresql.migrated) as proxy:
        options = {"dsn": proxy.dsn, "pool": 3}
        context = StorageContext(tmp_path, options, instance="unknown")
        stores = await opened(context), await opened(context)
        await stores[0].create("north")
        waiting = [asyncio.create_task(each.wait("north", 0)) for each in stores]
        await asyncio.sleep(0.1)
        proxy.lose("crm.commit", "answer")
        with pytest.raises(OutcomeUnknown):
            await stores[0].commit("north", Unit(now=1_800_000_000, puts=(put("n1"),)))
        await asyncio.wait_for(asyncio.gather(*waiting), 10)
        for each in stores:
            await each.close()


@pytest.mark.parametrize("gone", ["removed", "renamed", "removed while no notice arrives"])
async def test_a_tenant_that_is_gone_is_forgotten_by_other_processes(
    postgresql: Server, tmp_path: Path, gone: str
) -> None:
    """No request for a tenant that another process removed or renamed is judged as if it were still there."""
    context = StorageContext(tmp_path, {"dsn": postgresql.migrated, "pool": 3}, instance=gone.replace(" ", "-"))
    server = await opened(context)
    await server.create("north")
    await server.create("south")
    assert await server.has("north")
    command = await opened(context)
    if gone == "renamed":
        await command.rename("north", "east")
    elif gone == "removed":
        await command.remove("north")
    else:
        with psycopg.connect(postgresql.admin, autocommit=True) as db:
            await command._on.notices.close()  # it sends none
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'LISTEN crm'")
        await command.remove("north")
    await command.close()
    while await server.has("north"):  # noqa: ASYNC110 -- its notice comes from the database, without an event
        await asyncio.sleep(0.01)
    assert await server.has("south")
    await server.close()


async def test_a_tenant_that_goes_while_streams_wait_for_it_leaves_nothing(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tenants may come and go for months: neither those that wait for one, nor its daily fold, stay in memory."""
    monkeypatch.setattr(folds, "_EVERY", 0.0)
    server = await opened(StorageContext(tmp_path, {"dsn": postgresql.migrated, "pool": 3}, instance="coming"))
    for number in range(5):
        name = f"t{number}"
        await server.create(name)
        seq = (await server.view(name, None)).seq
        await server.commit(name, Unit(now=1_800_000_000, puts=(put("n1"),)))
        waiting = asyncio.create_task(server.wait(name, seq + 1))
        while f"coming/{name}" not in server._on.notices._events:  # noqa: ASYNC110 -- it sends no signal
            await asyncio.sleep(0.01)
        await server.remove(name)
        with pytest.raises(UnknownTenant):
            await asyncio.wait_for(waiting, 10)
    assert not server._on.notices._events
    assert len(server._folds._due) == 1
    await server.close()


async def test_an_attempt_on_a_tenant_that_is_gone_has_it_forgotten(postgresql: Server, tmp_path: Path) -> None:
    """Without notices, as behind a pooler, the first attempt that cannot be logged shows that the tenant is gone."""
    context = StorageContext(tmp_path, {"dsn": postgresql.migrated, "pool": 3}, instance="unheard")
    server, command = await opened(context), await opened(context)
    await server.create("north")
    assert await server.has("north")
    await server._on.notices.close()
    await command.remove("north")
    assert await server.has("north")
    server.note("north", entry(1))
    await server._on.attempts.write("unheard/north")
    assert not await server.has("north")
    await command.close()
    await server.close()


@pytest.mark.parametrize("call", ["crm.remove_tenant(%s, 'north', %s)", "crm.rename_tenant(%s, 'north', 'south', %s)"])
async def test_a_tenant_that_goes_leaves_no_attempt_behind(postgresql: Server, tmp_path: Path, call: str) -> None:
    """One that is noted while its tenant is removed or renamed waits for that, and is no other tenant's later."""
    instance = call[4:10]
    server = await opened(StorageContext(tmp_path, {"dsn": postgresql.migrated, "pool": 3}, instance=instance))
    await server.create("north")
    with psycopg.connect(postgresql.migrated) as db:
        db.execute(f"SELECT {call}", (instance, (await server.changes("north", None)).epoch))
        server.note("north", entry(1))
        writing = asyncio.create_task(server._on.attempts.write(f"{instance}/north"))
        assert not (await asyncio.wait({writing}, timeout=0.3))[0]
    await writing
    await server.create("north")
    assert await server.entries("north", EntryQuery(limit=10)) == ()
    await server.close()

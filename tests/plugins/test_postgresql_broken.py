"""Connections that break in a call: before the database gets its statement, and after it was done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import msgspec
import psycopg
import pytest

from crm_core.errors import SetupError, StorageUnavailable, UnknownTenant
from crm_core.plugin.storage import Claim, Committed, EntryQuery, OutcomeUnknown, Put, StorageContext, Unit
from crm_core.testing.storage import entry, put
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_proxy import Part, Proxy
from postgresql_server import Server

PARTS = ("request", "answer")
_numbers = count(1)


@pytest.fixture
def proxy(postgresql: Server) -> Iterator[Proxy]:
    with Proxy(postgresql.migrated) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy, tmp_path: Path) -> AsyncIterator[PostgreSQLBackend]:
    """A store behind the proxy, with a tenant that has one unit."""
    store = PostgreSQLBackend()
    await store.open(StorageContext(tmp_path, {"dsn": proxy.dsn, "pool": 3}, instance=f"broken{next(_numbers)}"))
    await store.create("north")
    await store.commit("north", unit(1))
    yield store
    await store.close()


def unit(number: int) -> Unit:
    return Unit(now=1, claims=(Claim("nonce", f"n{number}", b"{}"),), puts=(put(f"n{number}"),), entries=(entry(1),))


async def create(store: PostgreSQLBackend) -> list[str]:
    await store.create("south")
    return ["north", "south"]


async def rename(store: PostgreSQLBackend) -> list[str]:
    await store.rename("north", "south")
    return ["south"]


async def remove(store: PostgreSQLBackend) -> list[str]:
    await store.remove("north")
    return []


Call = Callable[[PostgreSQLBackend], Awaitable[list[str]]]
CALLS: list[tuple[str, Call]] = [
    ("crm.create_tenant", create),
    ("crm.rename_tenant", rename),
    ("crm.remove_tenant", remove),
]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("marker", "call"), CALLS)
async def test_a_call_that_changes_tenants_is_done_once(
    marker: str, call: Call, part: Part, store: PostgreSQLBackend, proxy: Proxy
) -> None:
    """It is sent again, and what the first one did is no error."""
    proxy.lose(marker, part)
    expected = await call(store)
    assert proxy.lost
    assert await store.tenants() == expected
    for name in expected:
        assert (await store.verify(name)).problems == ()


@pytest.mark.parametrize("part", PARTS)
async def test_a_restore_whose_commit_is_lost_is_looked_up(
    part: Part, store: PostgreSQLBackend, proxy: Proxy, tmp_path: Path
) -> None:
    """If it was done, it succeeds; if not, nothing of it is there, and it can be repeated."""
    await store.backup("north", tmp_path / "backup")
    proxy.lose("COMMIT", part)
    if part == "request":
        with pytest.raises(StorageUnavailable):
            await store.restore("south", tmp_path / "backup")
        assert await store.tenants() == ["north"]
    await store.restore("south", tmp_path / "backup")
    assert proxy.lost
    assert await store.tenants() == ["north", "south"]
    assert (await store.verify("south")).problems == ()
    with pytest.raises(SetupError, match="exists already"):
        await store.restore("south", tmp_path / "backup")


async def test_names_that_others_take_meanwhile_are_refused(store: PostgreSQLBackend, tmp_path: Path) -> None:
    """Of several that create, rename to or restore one name, one succeeds; a tenant that is gone is unknown."""
    await store.backup("north", tmp_path / "backup")
    store._names.clear()
    done = await asyncio.gather(
        *(store.create("south") for _ in range(3)), store.restore("south", tmp_path / "backup"),
        store.rename("north", "south"), return_exceptions=True,
    )  # fmt: skip
    assert [type(each) for each in done].count(type(None)) == 1
    assert [type(each) for each in done].count(SetupError) == 4
    assert "south" in await store.tenants()
    for call in (store.remove("gone"), store.rename("gone", "there")):
        with pytest.raises(UnknownTenant):
            await call


@pytest.mark.parametrize("part", PARTS)
async def test_a_commit_is_never_sent_twice(part: Part, store: PostgreSQLBackend, proxy: Proxy) -> None:
    """Its outcome is unknown; the claim says what became of it."""
    proxy.lose("crm.commit", part)
    with pytest.raises(OutcomeUnknown):
        await store.commit("north", unit(2))
    assert (await store.claim("north", "nonce", "n2") is not None) == (part == "answer")
    assert (await store.view("north", None)).seq == (2 if part == "answer" else 1)
    if part == "request":
        assert isinstance(await store.commit("north", unit(2)), Committed)


@pytest.mark.parametrize("marker", ["crm.read", "crm.entries", "crm.note", "crm.retain"])
@pytest.mark.parametrize("part", PARTS)
async def test_what_can_be_repeated_is_sent_again(
    marker: str, part: Part, store: PostgreSQLBackend, proxy: Proxy
) -> None:
    """Reads, and writes that do the same when they are done twice, do not fail with a connection."""
    store._context = StorageContext(store._context.tenants_dir, instance=store._context.instance, log_keep_days=1)
    store.note("north", entry(9, signature_result="invalid"))
    proxy.lose(marker, part)
    await store.fold("north")
    assert (await store.get("north", "notes", "n1")).document is not None
    assert (await store.view("north", None)).seq == 1
    assert len(await store.entries("north", EntryQuery())) == 2


async def test_a_read_is_of_one_moment(store: PostgreSQLBackend, postgresql: Server) -> None:
    """A commit between two parts of a statement shows in none of them: a new revision never has old sections."""
    key = f"{store._context.instance}/north"
    async with await psycopg.AsyncConnection.connect(postgresql.migrated) as db:
        call = "crm.read(%s, '{}', '{}', '{}', '{}', '{-1}')"
        query = f"SELECT r FROM (SELECT pg_sleep(1) OFFSET 0) later, LATERAL {call} r"
        reading = asyncio.create_task(db.execute(query, (key,)))
        running = f"SELECT FROM pg_stat_activity WHERE pid = {db.info.backend_pid} AND wait_event = 'PgSleep'"
        while not (reading.done() or await store._on.database.rows(running)):  # noqa: ASYNC110 -- the server sends no signal
            await asyncio.sleep(0.01)
        await store.commit("north", Unit(now=1, puts=(Put("sections", "branding", b"{}"),), revises=True))
        ((text,),) = await (await reading).fetchall()
        _, revision, *_, sections = msgspec.json.decode(text)
        assert (revision, sections) == (0, [])


async def test_a_commit_that_waits_for_another_is_refused_in_time(store: PostgreSQLBackend, postgresql: Server) -> None:
    """Its outcome is known: the database gave the wait up, so it is not done later either."""
    key = f"{store._context.instance}/north"
    with psycopg.connect(postgresql.migrated) as db:
        db.execute("SELECT crm.store(%s, true)", (key,))
        with pytest.raises(StorageUnavailable):
            await store.commit("north", unit(2))
    assert (await store.view("north", None)).seq == 1

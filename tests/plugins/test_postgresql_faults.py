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
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import (
    Bound,
    Claim,
    Committed,
    EntryQuery,
    PageQuery,
    StorageContext,
    Term,
    Unit,
)  # fmt: skip
from crm_core.testing.storage import entry, put
from crm_core.testing.storage_changes import change
from crm_postgresql import attempts
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


async def test_a_noted_attempt_is_readable_while_it_is_written(store: PostgreSQLBackend) -> None:
    """A reader waits for a write in progress, or it would miss what is in neither place."""
    for number in range(1, 11):
        store.note("north", entry(number, signature_result="invalid"))
        writing = asyncio.create_task(store._on.attempts.write(store._key("north")))
        await asyncio.sleep(0)
        assert len(await store.entries("north", EntryQuery())) == number
        await writing


async def test_an_attempt_is_soon_readable_on_other_processes(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt does not wait until others are written with it, and one that is being written is not lost."""
    monkeypatch.setattr(attempts, "_INTERVAL", 3600.0)
    first, other = [await opened(postgresql.migrated, tmp_path, "soon") for _ in range(2)]
    await first.create("north")
    first.note("north", entry(1, signature_result="invalid"))
    while not await other.entries("north", EntryQuery()):  # noqa: ASYNC110 -- the database sends no event of it
        await asyncio.sleep(0.01)
    await first.close()
    first = await opened(postgresql.migrated, tmp_path, "soon")
    first.note("north", entry(2, signature_result="invalid"))
    while first._on.attempts._waiting:  # noqa: ASYNC110 -- its task begins to write in one of the next turns
        await asyncio.sleep(0)
    await first.close()
    assert len(await other.entries("north", EntryQuery())) == 2
    await other.close()


async def test_an_attempt_whose_reader_leaves_is_written_later(store: PostgreSQLBackend) -> None:
    """A reader of the log writes what waits first; one that leaves before that takes no attempt along."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(store._on.database.connection())
        store.note("north", entry(1, signature_result="invalid"))
        reading = asyncio.create_task(store._on.attempts.write(store._key("north")))
        await asyncio.sleep(0.01)  # it waits for a connection
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert len(await store.entries("north", EntryQuery())) == 1


async def test_without_a_free_connection_calls_are_refused(store: PostgreSQLBackend) -> None:
    """They wait two seconds at most, and work once there is one."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(store._on.database.connection())
        for refused in (store.get("north", "notes", "a"), store.commit("north", Unit(now=1, puts=(put("a"),)))):
            with pytest.raises(StorageUnavailable):
                await refused
    assert isinstance(await store.commit("north", Unit(now=1, puts=(put("a"),))), Committed)


async def test_a_call_that_takes_too_long_ends_in_the_database_too(store: PostgreSQLBackend) -> None:
    """Its connection is closed and replaced: otherwise the server would run ever more of them at the same time."""
    slow = "SELECT pg_sleep(40)"
    calls = [store._on.database.rows(slow, (), 0.5) for _ in range(2)]
    assert [type(each) for each in await asyncio.gather(*calls, return_exceptions=True)] == [StorageUnavailable] * 2
    running = "SELECT count(*) FROM pg_stat_activity WHERE query = %s AND state = 'active'"
    async with asyncio.timeout(15):
        while (await store._on.database.rows(running, (slow,)))[0][0]:  # noqa: ASYNC110 -- no signal
            await asyncio.sleep(0.1)


async def test_calls_get_connections_in_their_order(store: PostgreSQLBackend) -> None:
    """With one free connection they are done one after the other; one that is cancelled passes its turn on."""
    database, done = store._on.database, []

    async def call(number: int) -> None:
        await database.rows("SELECT 1")
        done.append(number)

    async with database.connection():
        async with database.connection():
            calls = [asyncio.create_task(call(number)) for number in range(10)]
            await asyncio.sleep(0)
            calls[3].cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert done == [0, 1, 2, 4, 5, 6, 7, 8, 9]


async def test_a_call_that_is_cancelled_loses_no_connection(store: PostgreSQLBackend, postgresql: Server) -> None:
    """Its connection is closed, since an answer may still come on it, and the pool makes another one."""
    database, running = store._on.database, "SELECT FROM pg_stat_activity WHERE query = %s AND state = 'active'"
    with psycopg.connect(postgresql.admin, autocommit=True) as db:
        for number in range(3):  # one more than the pool has
            query = f"SELECT pg_sleep(20) AS cancelled{number}"
            call = asyncio.create_task(database.rows(query))
            while not db.execute(running, (query,)).fetchall():  # noqa: ASYNC110 -- the server sends no signal
                await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        # They would sleep on, and no test could copy the database for 20 seconds.
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(20) AS %'")
    answers = await asyncio.gather(*(database.rows("SELECT %s::int8", (number,)) for number in range(4)))
    assert answers == [[(number,)] for number in range(4)]


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


async def test_no_path_of_a_tenant_scans_a_table(postgresql: Server, tmp_path: Path) -> None:
    """Of a tenant with 50,000 documents and a small one, analyzed, with the planner as it is.

    The database counts no sequential scan, and a page of the small tenant looks at few of its documents. Before tables
    are analyzed, as after an import, an update looks at the keys that it changes alone.
    """
    dsn = postgresql.copy()
    admin = make_conninfo(postgresql.admin, dbname=conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(admin, autocommit=True) as db:
        for table in ("keys", "claims"):
            db.execute(f"ALTER TABLE crm.{table} SET (autovacuum_enabled = false)")
        for name, documents in (("north", 50_000), ("south", 1000)):
            for statement in FILL:
                db.execute(statement, {"name": name, "tenant": f"eu1/{name}", "documents": documents})
        for statement in BULK:
            db.execute(statement)
        before = counted(db, "idx_tup_fetch")
        store = await opened(dsn, tmp_path, "eu1")
        for number in range(10):
            changed = put(f"n{number:05d}", {}, {"k": number, "status": "other", "words": (f"w{number}",)})
            await store.commit("north", Unit(now=1, puts=(changed,), releases=(("nonce", "c0"),)))
        await store.close()
        found = counted(db, "idx_tup_fetch")
        assert {name: found[name] - before[name] for name in ("keys", "claims")} == {"keys": 20, "claims": 0}
        db.execute("ANALYZE")
        before = counted(db, "seq_scan")
        store = await opened(dsn, tmp_path, "eu1")
        await use(store, "north", 50_000)
        await use(store, "south", 1000)
        await store.close()
        assert {name: number for name, number in counted(db, "seq_scan").items() if number > before[name]} == {}
        before = counted(db, "idx_tup_fetch")
        store = await opened(dsn, tmp_path, "eu1")
        for limit in range(20, 30):
            await store.page("south", PageQuery(collection="notes", sort="k", filters=(ACTIVE,), limit=limit))
        await store.close()
        assert counted(db, "idx_tup_fetch")["documents"] - before["documents"] < 10 * 200


ACTIVE = ("status", ("active",))
FILL = [
    "INSERT INTO crm.tenants (instance, name) VALUES ('eu1', %(name)s)",
    "INSERT INTO crm.stores (tenant, seq, epoch) VALUES (%(tenant)s, 1, 'e')",
    """INSERT INTO crm.documents SELECT %(tenant)s, 'notes', 'n' || to_char(n, 'FM00000'), 1, '{}', jsonb_build_object(
        'k', ARRAY[concat('2p', to_char(length(n::text), 'FM000'), n)], 'words', ARRAY['3w' || n, '3all'],
        'status', ARRAY[(ARRAY['3lead', '3active', '9'])[n %% 3 + 1]]) FROM generate_series(0, %(documents)s - 1) n""",
    """INSERT INTO crm.keys SELECT d.tenant, d.collection, k.name, k.key, d.id
        FROM crm.documents d, crm.keys_of(d.indexes, '{}') k WHERE d.tenant = %(tenant)s""",
    """INSERT INTO crm.collections SELECT tenant, collection, crm.names(indexes), count(*)
        FROM crm.documents WHERE tenant = %(tenant)s GROUP BY 1, 2, 3""",
]
BULK = [
    """INSERT INTO crm.claims SELECT 'eu1/bulk', 'nonce', n::text, '{}', 9, 9, '' FROM generate_series(1, 50000) n""",
    """INSERT INTO crm.attempts SELECT 'eu1/bulk', n::text, '2026-01-01T00:00:00Z', 'branding', 'rejected', 'invalid',
        1, n::text, 1, '{}' FROM generate_series(1, 50000) n""",
    """INSERT INTO crm.log_rest SELECT 'eu1/bulk', n, n::text, '2020-01-01T00:00:00Z', 'branding', 'applied', 'valid',
        1, n::text, '', '', '{}' FROM generate_series(1, 50000) n""",
    """INSERT INTO crm.changes_rest SELECT 'eu1/bulk', n, '2020-01-01T00:00:00Z', 'notes', n::text, '', '{}'
        FROM generate_series(1, 50000) n""",
]


def counted(db: psycopg.Connection, what: str) -> dict[str, int]:
    """A count of each table with rows, once no other session has any that are not counted."""
    others = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while db.execute(f"{others} AND backend_type = 'client backend'").fetchall():
        db.execute("SELECT pg_sleep(0.02)")
    db.execute("SELECT pg_stat_clear_snapshot()")
    query = f"SELECT relname, {what} FROM pg_stat_user_tables WHERE relname IN ('documents', 'keys', 'claims',"
    query += " 'attempts', 'log_rest', 'changes_rest')"
    return dict(db.execute(query).fetchall())


async def use(store: PostgreSQLBackend, tenant: str, documents: int) -> None:
    for number in range(3):
        unit = Unit(
            now=1, claims=(Claim("nonce", f"c{number}", b"{}", 9),),
            puts=(put(f"m{number}", {}, {"k": number, "status": "lead", "words": ("all",)}),),
            entries=(entry(number),), changes=(change(f"m{number}"),),
        )  # fmt: skip
        await store.commit(tenant, unit)
    middle, last = documents // 2, documents - 10
    for query in (
        PageQuery(collection="notes", sort="k"),
        PageQuery(collection="notes", sort="k", filters=(ACTIVE,), descending=True),
        PageQuery(collection="notes", sort="k", filters=(("status", (None,)),), total=True),
        PageQuery(collection="notes", sort="k", filters=(ACTIVE,), after=(middle, f"n{middle:05d}")),
        PageQuery(collection="notes", sort="k", terms=(Term(f"w{last}"),)),
        PageQuery(collection="notes", sort="k", terms=(Term("al"),), filters=(ACTIVE,), total=True),
        PageQuery(collection="notes", sort="k", bounds=(Bound("k", "gte", last),)),
        PageQuery(collection="notes", sort="status", after=(None, f"n{middle:05d}")),
    ):
        assert (await store.page(tenant, query)).documents
    assert sum([len(some) async for some in store.scan(tenant, "notes")]) == documents + 3
    await store.get(tenant, "notes", "n00001")
    await store.find(tenant, "notes", "k", 7)
    await store.view(tenant, None)
    await store.claim(tenant, "nonce", "c1")
    await store.count(tenant, "notes")
    await store.changes(tenant, 0)
    await store.history(tenant, "notes", "m1")
    await store.entries(tenant, EntryQuery())
    await store.entries(tenant, EntryQuery(equals=(("status", "applied"),)))
    await store.tally(tenant, "2020-01-01T00:00:00Z")
    await store.fold(tenant)

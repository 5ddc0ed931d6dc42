from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from crm_core.errors import SetupError, StorageUnavailable, UnknownTenant
from crm_core.model.log import Head
from crm_core.plugin.storage import (
    Claim,
    Committed,
    Conflict,
    Document,
    DumpHead,
    IndexedDocument,
    OutcomeUnknown,
    PageQuery,
    Part,
    StorageContext,
    Term,
    Unit,
)  # fmt: skip
from crm_core.testing.storage import entry, put
from crm_postgresql.schema import migrations
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import Server, pooler

NOW = 1_800_000_000
_numbers = count(1)


@pytest.fixture
def context(postgresql: Server, tmp_path: Path) -> StorageContext:
    """An instance in the database that tests share."""
    return StorageContext(tmp_path, {"dsn": postgresql.migrated, "pool": 3}, instance=f"own{next(_numbers)}")


@pytest.fixture
async def store(context: StorageContext) -> AsyncIterator[PostgreSQLBackend]:
    store = await opened(context)
    await store.create("north")
    yield store
    await store.close()


async def opened(context: StorageContext) -> PostgreSQLBackend:
    store = PostgreSQLBackend()
    await store.open(context)
    return store


def unit(number: int = 1, **parts: Any) -> Unit:
    return Unit(now=NOW, **{"puts": (put(f"n{number}"),), "entries": (entry(number),)} | parts)


async def test_a_transaction_without_a_tenant_sees_no_row(store: PostgreSQLBackend, postgresql: Server) -> None:
    """As the instance's own role: no table shows or accepts rows of a tenant that the transaction does not name."""
    await store.commit("north", unit(claims=(Claim("nonce", "a", b"{}"),)))
    with psycopg.connect(postgresql.migrated) as db:
        tables = [name for (name,) in db.execute("SELECT relname FROM pg_class WHERE relforcerowsecurity")]
        own = "SELECT relname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE attname = 'tenant'"
        own += " AND relkind IN ('r', 'p') AND relnamespace = 'crm'::regnamespace"
        assert {name for (name,) in db.execute(own)} == set(tables)
        assert len(tables) >= 12
        for table in tables:
            assert db.execute(f"SELECT count(*) FROM crm.{table}").fetchone() == (0,)
        db.execute("SELECT set_config('crm.tenant', 'other/north', true)")
        assert db.execute("SELECT count(*) FROM crm.documents").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute("INSERT INTO crm.forgotten VALUES ('own1/north', 'nonce', 1)")


def test_every_key_and_statement_begins_with_a_tenant(postgresql: Server) -> None:
    """A distributed PostgreSQL can shard by it: no foreign key, trigger, sequence or unique key spans tenants."""
    with psycopg.connect(postgresql.migrated) as db:
        indexes = db.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'crm'").fetchall()
        firsts = {re.search(r"\((\w+)", text)[1] for (text,) in indexes}
        assert firsts == {"tenant", "instance"}
        found = db.execute(
            "SELECT count(*) FROM pg_constraint WHERE contype IN ('f', 'x') AND connamespace = 'crm'::regnamespace"
        )
        assert found.fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM pg_class WHERE relkind = 'S'").fetchone() == (0,)
    tables = "stores|documents|keys|collections|claims|forgotten|log|attempts|key_uses|changes"
    statements = re.findall(
        rf"(?:FROM|UPDATE|INTO) crm\.(?:{tables})\b[^;]*",
        "\n".join(re.sub(r"--.*", "", text) for _, text in migrations()),
    )
    assert len(statements) > 30
    assert [text for text in statements if "tenant" not in text] == []


@pytest.mark.parametrize("attribute", ["SUPERUSER", "BYPASSRLS"])
async def test_a_role_above_row_level_security_is_refused(
    attribute: str, postgresql: Server, context: StorageContext
) -> None:
    """Nothing would separate the tenants."""
    role = f"above_{attribute.lower()}"
    with psycopg.connect(postgresql.admin, autocommit=True) as db:
        db.execute(f"DROP ROLE IF EXISTS {role}")  # of an earlier run on the same server
        db.execute(f"CREATE ROLE {role} LOGIN {attribute} PASSWORD 'crm'")
    dsn = make_conninfo(postgresql.migrated, user=role)
    with pytest.raises(SetupError, match="superuser or has BYPASSRLS"):
        await opened(StorageContext(context.tenants_dir, {"dsn": dsn}, instance="x"))


@pytest.mark.parametrize(
    ("options", "said"),
    [({}, "needs a dsn"), ({"dsn": "x", "pool": 1}, "pool must be"), ({"dsn": "x", "size": 3}, "unknown option size"),
     ({"dsn": "nonsense"}, "cannot be read")],
)  # fmt: skip
async def test_options_are_checked(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    """A wrong option is named."""
    with pytest.raises(SetupError, match=said):
        await opened(StorageContext(tmp_path, options, instance="eu1"))


@pytest.mark.parametrize(
    "dsn",
    ["mysql://crm:geheim@db/crm", "postgresql://crm:geheim/x@db/crm", "postgresql://crm:x@geheim@db/crm",
     "postgresql://crm:geheim%x@db/crm", "host=db password=x geheim"],
)  # fmt: skip
async def test_a_dsn_that_cannot_be_read_is_not_shown(dsn: str, tmp_path: Path) -> None:
    """The refusal says how a DSN is written, and has nothing of its password."""
    with pytest.raises(SetupError, match="%2F %40 %25") as refused:
        await opened(StorageContext(tmp_path, {"dsn": dsn}, instance="eu1"))
    assert "geheim" not in str(refused.value)


async def test_a_database_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    """The store opens, and gives operators the reason, callers none; a migration is refused."""
    options = {"dsn": "host=127.0.0.1 port=1 user=x"}
    store = await opened(StorageContext(tmp_path, options, instance="eu1"))
    with pytest.raises(StorageUnavailable, match="does not answer") as refused:
        await store.troubled()
    assert "Connection refused" in refused.value.operator_detail
    with pytest.raises(StorageUnavailable, match="does not answer"):
        await store.has("north")
    await store.close()
    with pytest.raises(SetupError, match="cannot be reached"):
        await opened(StorageContext(tmp_path, options, instance="eu1", migrating=True))


async def test_units_of_many_processes_are_in_one_order(store: PostgreSQLBackend, context: StorageContext) -> None:
    """Of units in three processes that claim the same, one commits; seq, chain and documents agree."""
    others = [await opened(context) for _ in range(2)]
    units = [unit(number, claims=(Claim("nonce", str(number % 10), b"{}"),)) for number in range(60)]
    done = await asyncio.gather(
        *(each.commit("north", one) for number, one in enumerate(units) for each in (store, *others)[number % 3 :][:1])
    )
    assert [isinstance(outcome, Committed) for outcome in done].count(True) == 10
    assert sorted(outcome.seq for outcome in done if isinstance(outcome, Committed)) == list(range(1, 11))
    assert (await store.verify("north")).problems == ()
    assert await others[0].count("north", "notes") == 10
    for each in others:
        await each.close()


async def test_a_cached_page_shows_what_other_processes_did(store: PostgreSQLBackend, context: StorageContext) -> None:
    """Their commits, and that they made another tenant of the name, also if it has had as many units."""
    other, query = await opened(context), PageQuery(collection="notes", sort="k")

    async def ids() -> list[str]:
        return [each.id for each in (await store.page("north", query)).documents]

    for number in (1, 2):
        await other.commit("north", unit(number))
        assert await ids() == await ids() == ["n1", "n2"][:number]
    await other.remove("north")
    await other.create("north")
    for number in (1, 2):
        await other.commit("north", unit(number + 2, entries=()))
    assert await ids() == ["n3", "n4"]
    await other.close()


async def test_a_commit_wakes_other_processes(store: PostgreSQLBackend, context: StorageContext) -> None:
    """A waiter of another process is woken by its notice; without notices it looks by itself."""
    other = await opened(context)
    for heard in (True, False):
        seq = (await store.view("north", None)).seq
        if not heard:
            await other._on.notices.close()
            other._on.notices.heard = False
        waiting = asyncio.create_task(other.wait("north", seq))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await store.commit("north", unit(seq + 1))
        await asyncio.wait_for(waiting, 10)
    await other.close()


@pytest.mark.system("pgbouncer")
async def test_no_connection_of_a_pooler_listens(context: StorageContext) -> None:
    """Its connections serve all processes: one that listened would get notices that no process asked it for."""
    with pooler(context.options["dsn"]) as dsn:
        stores = [await opened(msgspec.structs.replace(context, options={"dsn": dsn, "pool": 2})) for _ in range(4)]
        for store in stores:
            listening = store._on.notices._listening
            assert listening is not None
            await asyncio.wait_for(listening, 10)
            assert not store._on.notices.heard
        with ExitStack() as connections:
            for _ in range(4):  # all that the pooler has, as each is in a transaction
                db = connections.enter_context(psycopg.connect(dsn))
                assert db.execute("SELECT pg_listening_channels()").fetchall() == []
        for store in stores:
            await store.close()


@pytest.mark.system("pgbouncer")
async def test_it_works_behind_a_pooler_by_transactions(context: StorageContext, tmp_path: Path) -> None:
    """Through PgBouncer: units, pages, dumps, copies and waits, which look each 250 ms as no notice arrives."""
    with pooler(context.options["dsn"]) as dsn:
        through = msgspec.structs.replace(context, options={"dsn": dsn, "pool": 4})
        store, other = await opened(through), await opened(through)
        await store.create("north")
        waiting = asyncio.create_task(other.wait("north", 0))
        done = await asyncio.gather(*(each.commit("north", unit(n)) for n in range(20) for each in (store, other)))
        assert sorted(outcome.seq for outcome in done if isinstance(outcome, Committed)) == list(range(1, 41))
        await asyncio.wait_for(waiting, 10)
        assert not other._on.notices.heard
        page = await other.page("north", PageQuery(collection="notes", sort="k", total=True, limit=5))
        assert (page.total, len(page.documents)) == (20, 5)
        await store.backup("north", tmp_path / "copy")
        await other.restore("copy", tmp_path / "copy")
        assert (await store.verify("copy")).problems == ()
        for each in (store, other):
            await each.close()


async def test_terminated_backends_lose_nothing_that_was_answered(store: PostgreSQLBackend, postgresql: Server) -> None:
    """While connections are cut, a commit succeeds, is refused, or is reported as unknown; then everything works."""
    answered, unknown, stop = set[int](), set[int](), asyncio.Event()
    progress = asyncio.Semaphore(0)

    async def write(first: int) -> None:
        for number in range(first, first + 100_000):
            if stop.is_set():
                return
            try:
                outcome = await store.commit("north", unit(number, entries=()))
            except OutcomeUnknown:
                unknown.add(number)
            except StorageUnavailable:
                continue
            else:
                assert not isinstance(outcome, Conflict)
                answered.add(number)
                progress.release()

    tasks = [asyncio.create_task(write(100_000 * number)) for number in range(1, 5)]
    with psycopg.connect(postgresql.admin, autocommit=True) as db:
        for _ in range(6):
            for _ in range(4):
                await progress.acquire()
            db.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'crm_app'")
    stop.set()
    await asyncio.gather(*tasks)
    assert isinstance(await store.commit("north", unit(1, entries=())), Committed)
    stored = {int(each.id[1:]) async for each in store.documents("north", "notes")} - {1}
    assert answered <= stored <= answered | unknown


async def test_old_entries_go_by_themselves(context: StorageContext) -> None:
    """The first write of a day drops what is past its days; the chain continues from its anchor."""
    store = await opened(msgspec.structs.replace(context, log_keep_days=30))
    await store.create("north")
    for number, day in enumerate(("01", "02"), 1):
        await store.commit("north", unit(number, entries=(entry(number, received_at=f"2026-01-{day}T00:00:00Z"),)))
    await store.close()
    store = await opened(msgspec.structs.replace(context, log_keep_days=30))
    await store.commit("north", unit(3))
    await asyncio.wait({store._folds._task})
    report = await store.verify("north")
    assert (report.anchor.seq, report.head.seq, report.entries, report.problems) == (2, 3, 1, ())
    await store.close()


async def test_a_database_that_hangs_is_unavailable(store: PostgreSQLBackend, postgresql: Server) -> None:
    """A statement without an answer ends: a read is refused, a commit too or its outcome is unknown; then all works."""
    await store.commit("north", unit(1))
    with psycopg.connect(postgresql.migrated) as db:
        db.execute("LOCK crm.stores")
        done = await asyncio.gather(
            store.view("north", None), store.commit("north", unit(2)), store.view("north", None), return_exceptions=True
        )
    assert {type(each) for each in done} <= {StorageUnavailable, OutcomeUnknown}
    assert type(done[0]) is type(done[2]) is StorageUnavailable
    assert (await store.view("north", None)).seq in (1, 2)
    assert isinstance(await store.commit("north", unit(3)), Committed)


async def test_a_read_only_database_is_unavailable_for_writes(
    store: PostgreSQLBackend, context: StorageContext
) -> None:
    """Reads work, a write is refused with the reason, health says so, and it ends by itself."""
    dsn = make_conninfo(context.options["dsn"], options="-c default_transaction_read_only=on")
    standby = await opened(StorageContext(context.tenants_dir, {"dsn": dsn}, instance=context.instance))
    assert (await standby.view("north", None)).seq == 0
    with pytest.raises(StorageUnavailable, match="accepts no writes"):
        await standby.commit("north", unit())
    assert (await standby.state("north")).mode == "read_only"
    assert list(await standby.troubled()) == ["north"]
    await standby.close()
    assert (await store.state("north")).mode == "ok"


async def test_terms_that_find_many_documents(store: PostgreSQLBackend) -> None:
    """Beyond the few that are looked at all, pages are in order as well, and a rarer term narrows them."""

    async def parts() -> AsyncIterator[Part]:
        yield DumpHead(seq=1, revision=0, head=Head(), anchor=Head(), forgotten={}, epoch="e", newest=0)
        for n in range(4100):
            yield IndexedDocument(Document("notes", f"n{n:04d}", 1, b"{}"), {"k": -n, "words": ("all", f"w{n}")})

    await store.load("many", parts())
    query = PageQuery(collection="notes", sort="k", terms=(Term("al"),), limit=1500, total=True)
    seen, after = list[str](), None
    while True:
        page = await store.page("many", msgspec.structs.replace(query, after=after))
        seen += [each.id for each in page.documents]
        if (after := page.next) is None:
            break
    assert seen == [f"n{n:04d}" for n in reversed(range(4100))]
    assert page.total == 4100
    for terms in ((Term("all"), Term("w409")), (Term("w409"), Term("all"))):
        page = await store.page("many", PageQuery(collection="notes", sort="k", terms=terms))
        assert [each.id for each in page.documents] == [*(f"n{n}" for n in range(4099, 4089, -1)), "n0409"]


async def test_long_values_are_found(store: PostgreSQLBackend) -> None:
    """Texts longer than an index entry may be differ by their end."""
    long = "x" * 5000
    await store.commit("north", Unit(now=NOW, puts=tuple(put(f"n{n}", {}, {"k": f"{long}{n}"}) for n in range(3))))
    found = await store.find("north", "notes", "k", f"{long}1")
    assert found.document is not None
    assert found.document.id == "n1"
    page = await store.page("north", PageQuery(collection="notes", sort="k", filters=(("k", (f"{long}2",)),)))
    assert [each.id for each in page.documents] == ["n2"]


async def test_the_rename_of_no_tenant_says_so(store: PostgreSQLBackend) -> None:
    """Even to a name that is taken, as on files."""
    with pytest.raises(UnknownTenant):
        await store.rename("absent", "north")

"""The log and the change log by month."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crm_core.model.log import LogEntry
from crm_core.plugin.storage import StorageContext, Unit
from crm_core.testing.storage import entry, put
from crm_core.testing.storage_changes import change
from crm_postgresql.chain import verify
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import Server

LISTED = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'crm.log'::regclass ORDER BY 1"


def unit(number: int, month: str) -> Unit:
    return Unit(
        now=1, puts=(put(f"n{number}"),), entries=(entry(number, received_at=f"{month}-05T00:00:00Z"),),
        changes=(change(f"n{number}", number),),
    )  # fmt: skip


def listed(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as db:
        return [name.removeprefix("crm.") for (name,) in db.execute(LISTED)]


def months(dsn: str) -> list[str]:
    with psycopg.connect(dsn, autocommit=True) as db:
        return [name for (name,) in db.execute("SELECT crm.months()")]


async def opened(dsn: str, folder: Path, **more: Any) -> PostgreSQLBackend:
    store = PostgreSQLBackend()
    await store.open(StorageContext(folder, {"dsn": dsn, "pool": 2}, instance="eu1", **more))
    return store


@pytest.fixture
async def store(postgresql: Server, tmp_path: Path) -> AsyncIterator[PostgreSQLBackend]:
    """A store in a database for it alone, with a partition of January 2020."""
    dsn = postgresql.copy()
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("CREATE TABLE crm.log_2020_01 PARTITION OF crm.log FOR VALUES FROM ('2020-01') TO ('2020-02')")
        db.execute("SELECT crm.separate('log_2020_01')")
    store = await opened(dsn, tmp_path, log_keep_days=30)
    for tenant in ("north", "south"):
        await store.create(tenant)
    yield store
    await store.close()


def dsn_of(store: PostgreSQLBackend) -> str:
    return str(store._context.options["dsn"])


async def test_months_are_made_ahead(store: PostgreSQLBackend) -> None:
    """This month's and the next two, once; each separates the tenants as its table does."""
    dsn = dsn_of(store)
    assert len(listed(dsn)) == 5  # with the default one and that of 2020
    with psycopg.connect(dsn, autocommit=True) as db:
        for name in listed(dsn)[2:4]:
            db.execute(f"DROP TABLE crm.{name}")
    assert len([name for name in months(dsn) if name != "log_2020_01"]) == 2
    assert months(dsn) == []
    with psycopg.connect(dsn) as db:
        separate = "SELECT count(*) FROM pg_class WHERE relname ~ '^(log|changes)_' AND relkind = 'r'"
        separate += " AND relnamespace = 'crm'::regnamespace AND NOT relforcerowsecurity"
        assert db.execute(separate).fetchone() == (0,)


async def test_a_month_is_dropped_when_no_tenant_retains_it(store: PostgreSQLBackend) -> None:
    """Each tenant's anchor moves first; its rows are not read from then on, and its chain continues."""
    dsn = dsn_of(store)
    for tenant in ("north", "south"):
        await store.commit(tenant, unit(1, "2020-01"))
    for tenant, dropped in (("north", False), ("south", True)):
        await store.commit(tenant, unit(2, "2026-01"))
        await store.fold(tenant)
        report = await store.verify(tenant)
        assert (report.anchor.seq, report.head.seq, report.entries, report.problems) == (1, 2, 1, ())
        assert ("log_2020_01" in months(dsn)) == dropped
        assert ("log_2020_01" not in listed(dsn)) == dropped


async def test_a_chain_whose_anchor_moves_during_the_walk_is_intact(store: PostgreSQLBackend) -> None:
    """Entries that retention drops while they are verified are not reported as missing."""
    for number in range(1, 4):
        await store.commit("north", unit(number, "2020-01"))
    walked = 0

    async def part(after: int) -> list[tuple[Any, ...]]:
        nonlocal walked
        walked += 1
        if walked == 2:
            await store.commit("north", unit(4, "2026-01"))
            await store.fold("north")
        return await store._rows("SELECT * FROM crm.chain(%s, %s, 1)", "north", after)

    report = await verify(part, None)
    assert (report.anchor.seq, report.head.seq, report.entries, report.problems) == (3, 4, 1, ())


async def test_a_backup_has_the_entries_of_its_moment(store: PostgreSQLBackend) -> None:
    """While one is written, retention moves the anchor, but no partition goes whose entries it still has to read."""
    dsn = dsn_of(store)
    for number in range(1, 4):
        await store.commit("north", unit(number, "2020-01"))
    parts = [await anext(dump := store.dump("north"))]
    await store.commit("north", unit(4, "2026-01"))
    await store.fold("north")
    with psycopg.connect(dsn, autocommit=True) as db, suppress(psycopg.errors.LockNotAvailable):
        db.execute("SELECT crm.months()")
    parts += [part async for part in dump]
    assert [part.seq for part in parts if isinstance(part, LogEntry)] == [1, 2, 3]
    assert "log_2020_01" in months(dsn)


async def test_rows_wait_for_their_partition_or_forty_days(store: PostgreSQLBackend) -> None:
    """A partition that another tenant still needs loses the rows of those that do not retain them."""
    dsn = dsn_of(store)
    for tenant in ("north", "south"):
        await store.commit(tenant, unit(1, "2020-01"))
    counts = []
    for number, month in enumerate(("2020-03", "2020-04"), 2):
        await store.commit("north", unit(number, month))
        await store.fold("north")
        with psycopg.connect(dsn) as db:
            db.execute("SELECT set_config('crm.tenant', 'eu1/north', true)")
            counts.append(db.execute("SELECT count(*) FROM crm.log_2020_01").fetchone())
    assert counts == [(1,), (0,)]
    assert "log_2020_01" in listed(dsn)


async def test_a_role_that_owns_nothing_makes_no_partition(store: PostgreSQLBackend, postgresql: Server) -> None:
    """It is no error for it: the default partition takes what comes, and crm migrate of the owner makes them."""
    with psycopg.connect(dsn_of(store), autocommit=True) as db:
        db.execute(f"DROP TABLE crm.{listed(dsn_of(store))[2]}")
    with psycopg.connect(dsn_of(store), user="postgres", autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS crm_other")
        db.execute("CREATE ROLE crm_other")
        db.execute("GRANT USAGE ON SCHEMA crm TO crm_other")
        db.execute("SET ROLE crm_other")
        assert db.execute("SELECT crm.months()").fetchall() == []
        db.execute("RESET ROLE")
        db.execute("DROP OWNED BY crm_other")
        db.execute("DROP ROLE crm_other")


@pytest.mark.parametrize("partition", ["log_rest", "log_before"])
async def test_a_month_whose_entries_are_elsewhere_gets_no_partition(partition: str, store: PostgreSQLBackend) -> None:
    """They stay in the default partition, or in one of all months before; the chain and the change log are whole."""
    dsn = dsn_of(store)
    name = listed(dsn)[2]
    with psycopg.connect(dsn, autocommit=True) as db:
        for each in listed(dsn)[:-1]:
            db.execute(f"DROP TABLE crm.{each}")
        db.execute("TRUNCATE crm.log_rest")  # of the tests that share the database which is copied
        if partition == "log_before":
            db.execute("CREATE TABLE crm.log_before PARTITION OF crm.log FOR VALUES FROM (MINVALUE) TO ('9999')")
            db.execute("SELECT crm.separate('log_before')")
    await store.commit("north", unit(1, name[4:].replace("_", "-")))
    assert name not in months(dsn) + listed(dsn)
    with psycopg.connect(dsn) as db:
        db.execute("SELECT set_config('crm.tenant', 'eu1/north', true)")
        assert db.execute(f"SELECT count(*) FROM crm.{partition}").fetchone() == (1,)
    assert (await store.verify("north")).problems == ()
    assert [each.entry.id for each in (await store.changes("north", 0)).entries or ()] == ["n1"]

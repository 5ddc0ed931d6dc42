"""Refusals of a database or a backup say how to go on."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from crm_core.errors import SetupError, StorageUnavailable
from crm_core.plugin.storage import Put, StorageContext, Unit
from crm_core.testing.storage import entry
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import ROLE, Server


async def migrated(folder: Path, dsn: str) -> None:
    """Open a database as ``crm migrate`` does, and bring its schema to this version."""
    store = PostgreSQLBackend()
    await store.open(StorageContext(folder, {"dsn": dsn}, instance="eu1", migrating=True))
    try:
        await store.migrate()
    finally:
        await store.close()


async def test_a_role_without_rights_learns_which_one_has_them(postgresql: Server, tmp_path: Path) -> None:
    """Before there is a schema it is the owner of the database, then the role that made the schema."""
    with psycopg.connect(postgresql.admin, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS stranger")  # of an earlier run on the same server
        db.execute("CREATE ROLE stranger LOGIN PASSWORD 'crm'")
    with pytest.raises(SetupError, match=r"cannot be migrated: permission denied .*; connect as the role that owns"):
        await migrated(tmp_path, make_conninfo(postgresql.fresh(), user="stranger"))
    store = PostgreSQLBackend()
    context = StorageContext(tmp_path, {"dsn": make_conninfo(postgresql.migrated, user="stranger")}, instance="eu1")
    with pytest.raises(SetupError, match=r"permission denied for schema crm; connect as the role that ran crm migrate"):
        await store.open(context)


async def test_another_encoding_is_refused_by_name(postgresql: Server, tmp_path: Path) -> None:
    """Before a statement fails at a character that the encoding lacks."""
    with psycopg.connect(postgresql.admin, autocommit=True) as db:
        db.execute("DROP DATABASE IF EXISTS crm_latin")
        db.execute(f"CREATE DATABASE crm_latin OWNER {ROLE} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(SetupError, match="encoding is LATIN1: create one with ENCODING 'UTF8'"):
        await migrated(tmp_path, make_conninfo(postgresql.fresh(), dbname="crm_latin"))


async def test_the_encoding_of_the_environment_does_not_count(
    postgresql: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts are stored as they are, and the chain that the database hashes verifies."""
    context = StorageContext(tmp_path, {"dsn": postgresql.migrated}, instance="latin")
    stores = [PostgreSQLBackend(), PostgreSQLBackend()]
    await stores[0].open(context)
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    await stores[1].open(context)
    await stores[1].create("north")
    text = "Zoë pays 5 €"
    await stores[1].commit(
        "north", Unit(now=1, puts=(Put("notes", "n1", b"{}", {"k": text}),), entries=(entry(1, error_message=text),))
    )
    for store in stores:
        assert (await store.find("north", "notes", "k", text)).document is not None
        assert (await store.verify("north")).problems == ()
        await store.close()


async def test_a_empty_dsn_is_not_a_missing_one(tmp_path: Path) -> None:
    """The option is there, and the variable that it names is empty."""
    with pytest.raises(SetupError, match="the dsn is empty; write the database's URL where it refers to"):
        await PostgreSQLBackend().open(StorageContext(tmp_path, {"dsn": ""}, instance="eu1"))


async def test_a_backup_of_another_backend_leads_to_the_copy(postgresql: Server, tmp_path: Path) -> None:
    """Its form is not this one's; the command that moves tenants between backends is named."""
    (tmp_path / "copy").write_text('{"_store": {}}\n')
    store = PostgreSQLBackend()
    await store.open(StorageContext(tmp_path, {"dsn": postgresql.migrated}, instance="advice"))
    with pytest.raises(SetupError, match=r"not a backup of this storage backend: .* crm migrate --to"):
        await store.restore("north", tmp_path / "copy")
    await store.close()


async def test_a_process_that_slept_through_a_migration_writes_no_more(postgresql: Server, tmp_path: Path) -> None:
    """Its connections were checked before: its next heartbeats find the other version, and say so to operators."""
    dsn = postgresql.copy()
    store = PostgreSQLBackend()
    await store.open(StorageContext(tmp_path, {"dsn": dsn, "pool": 2}, instance="eu1"))
    await store.create("north")
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("UPDATE crm.version SET version = 99")
        with pytest.raises(StorageUnavailable) as refused:
            await store.alive("p1", 15)
        assert "a newer version wrote schema 99" in str(refused.value.operator_detail)
        with pytest.raises(StorageUnavailable):
            await store.alive("p1", 15)
        with pytest.raises(StorageUnavailable):
            await store.commit("north", Unit(now=1))
        assert db.execute("SELECT count(*) FROM crm.processes").fetchone() == (0,)
    await store.close()

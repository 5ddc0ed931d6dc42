"""The version of the schema, and migrations to it and from it."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree
from typing import Any

import psycopg
import pytest

from crm_core.errors import SetupError
from crm_core.plugin.storage import StorageContext
from crm_postgresql import schema
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import Server

VERSION = schema.migrations()[-1][0]
NEXT = f"{VERSION + 1:04}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the migrations, to which a test adds those of a later version."""
    copytree(Path(schema.__file__).with_name("migrations"), tmp_path / "migrations")
    monkeypatch.setattr(schema, "files", lambda _: tmp_path / "migrations")
    return tmp_path / "migrations"


async def opened(dsn: str, **more: Any) -> PostgreSQLBackend:
    store = PostgreSQLBackend()
    await store.open(StorageContext(Path(), {"dsn": dsn, "pool": 2}, instance="eu1", **more))
    return store


async def migrated(dsn: str) -> tuple[str, ...]:
    """What ``crm migrate`` says."""
    store = await opened(dsn, migrating=True)
    try:
        return await store.migrate()
    finally:
        await store.close()


async def test_an_empty_database_gets_the_schema(postgresql: Server) -> None:
    """It is refused before; the migration can be repeated."""
    dsn = postgresql.fresh()
    with pytest.raises(SetupError, match="the database is empty: run crm migrate"):
        await opened(dsn)
    assert await migrated(dsn) == (f"The database has schema {VERSION} now.",)
    assert await migrated(dsn) == ()
    await (await opened(dsn)).close()


@pytest.mark.parametrize(("version", "said"), [(1, "run its crm migrate --to"), (99, "start that version")])
async def test_schemas_of_no_known_release_are_refused(version: int, said: str, postgresql: Server) -> None:
    """One from before the first release, and a later one: servers and ``crm migrate`` say what to do."""
    dsn = postgresql.copy()
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("UPDATE crm.version SET version = %s", (version,))
        for call in (opened, migrated):
            with pytest.raises(SetupError, match=f"wrote schema {version}.*: .*{said}"):
                await call(dsn)
        assert db.execute("SELECT version FROM crm.version").fetchone() == (version,)


async def test_a_later_version_migrates_the_schema(folder: Path, postgresql: Server) -> None:
    """An earlier schema is refused until then; what is stored stays, and only the new files run, in their order."""
    dsn = postgresql.copy()
    store = await opened(dsn)
    await store.create("north")
    await store.close()
    (folder / f"{NEXT}_1_tables.sql").write_text("CREATE TABLE crm.later (a text);")
    (folder / f"{NEXT}_2_rows.sql").write_text("INSERT INTO crm.later SELECT 'b'; INSERT INTO crm.later SELECT 'c';")
    with pytest.raises(SetupError, match=f"has schema {VERSION}, this version needs {VERSION + 1}: run crm migrate"):
        await opened(dsn)
    assert await migrated(dsn) == (f"The database has schema {VERSION + 1} now.",)
    assert await migrated(dsn) == ()
    store = await opened(dsn)
    assert await store.tenants() == ["north"]
    await store.close()
    with psycopg.connect(dsn) as db:
        assert db.execute("SELECT a FROM crm.later").fetchall() == [("b",), ("c",)]


@pytest.mark.parametrize("made", [False, True])
async def test_a_migration_that_fails_leaves_nothing(made: bool, folder: Path, postgresql: Server) -> None:
    """Of an empty database as of one with an earlier schema, which can be served as before."""
    dsn = postgresql.copy() if made else postgresql.fresh()
    (folder / f"{NEXT}_1.sql").write_text("CREATE TABLE crm.later (a text);")
    (folder / f"{NEXT}_2.sql").write_text("SELECT 1 / 0;")
    with pytest.raises(SetupError, match="the database cannot be migrated: division by zero"):
        await migrated(dsn)
    with psycopg.connect(dsn) as db:
        found = db.execute("SELECT to_regnamespace('crm') IS NOT NULL, to_regclass('crm.later')").fetchone()
        assert found == (made, None)
    for path in folder.glob(f"{NEXT}*"):
        path.unlink()
    assert len(await migrated(dsn)) == (0 if made else 1)
    await (await opened(dsn)).close()


async def test_a_schema_is_not_migrated_while_processes_serve_from_it(folder: Path, postgresql: Server) -> None:
    """Those of an earlier version do not know the new one; without them it is migrated."""
    dsn = postgresql.copy()
    (folder / f"{NEXT}.sql").write_text("CREATE TABLE crm.later (a text);")
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("INSERT INTO crm.processes VALUES ('us2', 'p1', now() + interval '1 h'), ('us2', 'p2', now())")
        with pytest.raises(SetupError, match="1 process of an earlier version uses this database: stop"):
            await migrated(dsn)
        db.execute("DELETE FROM crm.processes")
    assert len(await migrated(dsn)) == 1

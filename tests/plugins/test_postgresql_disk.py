"""A database whose disk is really full: a small file system, which only root may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import msgspec
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from crm_core.errors import StorageFull
from crm_core.plugin.storage import Claim, Committed, Put, StorageContext, Unit
from crm_core.testing.storage import entry
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import ROLE, Server, owner

_SIZE = 32 << 20


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of 32 MiB that belongs to the database's user."""
    folder, user = Path(mkdtemp(prefix="crm-disk-")), owner()
    options = f"size={_SIZE},uid={user.pw_uid},gid={user.pw_gid},mode=700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        folder.rmdir()
        pytest.skip("a file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
    folder.rmdir()


@pytest.fixture
async def store(postgresql: Server, disk: Path, tmp_path: Path) -> AsyncIterator[PostgreSQLBackend]:
    """A store on that disk, whose database is dropped at the end."""
    if "host=/" not in postgresql.admin:
        pytest.skip("the server of CRM_TEST_DSN may be on another machine")
    template = conninfo_to_dict(postgresql.migrated)["dbname"]
    with psycopg.connect(postgresql.admin, autocommit=True) as db:
        db.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        db.execute(f"CREATE DATABASE crm_small OWNER {ROLE} TEMPLATE {template} TABLESPACE small")
    dsn = make_conninfo(postgresql.admin, dbname="crm_small", user=ROLE, password="crm")
    store = PostgreSQLBackend()
    await store.open(StorageContext(tmp_path, {"dsn": dsn, "pool": 2}, instance="eu1"))
    await store.create("north")
    yield store
    await store.close()
    with psycopg.connect(postgresql.admin, autocommit=True) as db:
        db.execute("DROP DATABASE crm_small WITH (FORCE)")
        db.execute("DROP TABLESPACE small")


async def test_a_full_disk_refuses_units_whole(store: PostgreSQLBackend, disk: Path) -> None:
    """507 for those that do not fit, of which nothing is stored; reads work, and all does once there is space."""
    chance = Random(1)  # text that does not compress

    def unit(number: int) -> Unit:
        body = msgspec.json.encode({"pad": chance.randbytes(40_000).hex()})
        claim = Claim("nonce", f"n{number}", b"{}")
        return Unit(now=1, claims=(claim,), puts=(Put("notes", f"n{number:04d}", body),), entries=(entry(number),))

    filler = disk / "filler"
    free = os.statvfs(disk)
    filler.write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - (2 << 20))))
    number, refusals = 0, 0
    while refusals < 3:
        number += 1
        try:
            await store.commit("north", unit(number))
        except StorageFull:
            refusals += 1
            assert (await store.get("north", "notes", f"n{number:04d}")).document is None
            assert await store.claim("north", "nonce", f"n{number}") is None
    assert (await store.troubled())["north"].mode == "read_only"
    stored = await store.count("north", "notes")
    assert 0 < stored <= number - refusals
    filler.unlink()
    assert isinstance(await store.commit("north", unit(9000)), Committed)
    assert await store.troubled() == {}
    report = await store.verify("north")
    assert (report.entries, report.problems) == (stored + 1, ())

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from crm_core.plugin.storage import StorageContext
from crm_core.testing.storage import StorageHarness, StorageSuite
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import ROLE, Server

_numbers = count(1)


class PostgreSQLHarness(StorageHarness):
    """The suite's harness, with a superuser's connection to do to the database what others do to files."""

    def __init__(self, context: StorageContext, scratch: Path, admin: str) -> None:
        super().__init__(PostgreSQLBackend, context, scratch)
        self._admin = admin

    def _replace(self, tenant: str, old: bytes, new: bytes) -> int:
        query = "UPDATE crm.log SET entry = replace(entry, %s, %s) WHERE tenant = %s AND entry LIKE %s"
        place = f"{self.context.instance}/{tenant}"
        with psycopg.connect(self._admin, autocommit=True) as db:
            return db.execute(query, (old.decode(), new.decode(), place, f"%{old.decode()}%")).rowcount

    @contextmanager
    def failing_writes(self) -> Iterator[None]:
        with psycopg.connect(self._admin, autocommit=True) as db:
            db.execute(f"REVOKE UPDATE ON crm.stores FROM {ROLE}")
            try:
                yield
            finally:
                db.execute(f"GRANT UPDATE ON crm.stores TO {ROLE}")


class TestPostgreSQL(StorageSuite):
    @pytest.fixture
    async def storage(self, tmp_path: Path, postgresql: Server) -> AsyncIterator[StorageHarness]:
        options, instance = {"dsn": postgresql.migrated, "pool": 4}, f"suite{next(_numbers)}"
        context = StorageContext(tmp_path / "tenants", options, log_max_unverified=200, instance=instance)
        admin = make_conninfo(postgresql.admin, dbname=conninfo_to_dict(postgresql.migrated)["dbname"])
        harness = PostgreSQLHarness(context, tmp_path, admin)
        await harness.start()
        yield harness
        await harness.stop()

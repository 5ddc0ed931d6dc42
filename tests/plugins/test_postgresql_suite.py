from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from crm_core.plugin.storage import StorageContext
from crm_core.testing.storage import StorageHarness, StorageSuite
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import Server

_numbers = count(1)


class TestPostgreSQL(StorageSuite):
    @pytest.fixture
    async def storage(self, tmp_path: Path, postgresql: Server) -> AsyncIterator[StorageHarness]:
        options, instance = {"dsn": postgresql.migrated, "pool": 4}, f"suite{next(_numbers)}"
        context = StorageContext(tmp_path / "tenants", options, log_max_unverified=200, instance=instance)
        harness = StorageHarness(PostgreSQLBackend, context, tmp_path)
        await harness.start()
        yield harness
        await harness.stop()

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crm_core.plugin.storage import StorageContext
from crm_core.testing.storage import StorageHarness, StorageSuite
from crm_tinydb.storage import TinyDBBackend
from tinydb_world import FakeDiskHarness


class TestTinyDBOnFiles(StorageSuite):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[StorageHarness]:
        context = StorageContext(tmp_path / "tenants", log_max_unverified=200)
        harness = StorageHarness(TinyDBBackend, context, tmp_path)
        await harness.start()
        yield harness
        await harness.stop()


class TestTinyDBOnForgetfulDisk(StorageSuite):
    @pytest.fixture
    async def storage(self) -> AsyncIterator[StorageHarness]:
        harness = FakeDiskHarness()
        await harness.start()
        yield harness
        await harness.stop()


class TestTinyDBWithOneOpenTenant(StorageSuite):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[StorageHarness]:
        context = StorageContext(tmp_path / "tenants", {"max_open": 1}, log_max_unverified=200)
        harness = StorageHarness(TinyDBBackend, context, tmp_path)
        await harness.start()
        yield harness
        await harness.stop()

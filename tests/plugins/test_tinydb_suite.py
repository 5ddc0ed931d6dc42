from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crm_core.plugin.storage import StorageBackend, StorageContext
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import StorageHarness, StorageSuite
from crm_tinydb.storage import TinyDBBackend


class FakeDiskHarness(StorageHarness):
    """A store on a disk that forgets unsynced bytes."""

    def __init__(self, context: StorageContext) -> None:
        self.disk = FakeDisk()
        self.disk.make_folder(context.tenants_dir)
        scratch = context.tenants_dir.parent / "scratch"
        self.disk.make_folder(scratch)
        for folder in (scratch.parent, context.tenants_dir):
            self.disk.sync_folder(folder)
        super().__init__(lambda: TinyDBBackend(self.disk), context, scratch)

    async def power_cut(self) -> StorageBackend:
        after = self.disk.power_cut()
        await self.store.close()
        self.disk = after
        self.store = self._make()
        await self.store.open(self.context)
        return self.store


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
        harness = FakeDiskHarness(StorageContext(Path("/fake/tenants"), log_max_unverified=200))
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

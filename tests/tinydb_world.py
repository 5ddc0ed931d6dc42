"""Stores of crm_tinydb on a disk in memory, for its tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from crm_core.plugin.storage import StorageBackend, StorageContext
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import StorageHarness
from crm_tinydb.segments import PREVIOUS
from crm_tinydb.storage import TinyDBBackend

HOME = Path("/fake/tenants")
SCRATCH = HOME.parent / "scratch"
FILES = {
    "store": r"store-\d+\.json",
    "journal": r"journal-\d+\.log",
    "segment": r"log-.*\.seg",
    "change segment": r"changes-.*\.seg",
    "ring": r"unverified\.log",
    "identity": "identity",
}
"""The files of a tenant by kind, as patterns of their names."""

Disk = TypeVar("Disk", bound=FakeDisk)


def with_folders(disk: Disk) -> Disk:
    """The disk with a durable folder for tenants and one for backups."""
    for folder in (HOME, SCRATCH):
        disk.make_folder(folder)
        disk.sync_folder(folder.parent)
    return disk


async def open_store(disk: FakeDisk, **context: Any) -> TinyDBBackend:
    """An open store on the disk."""
    store = TinyDBBackend(disk)
    await store.open(StorageContext(HOME, **context))
    return store


class FakeDiskHarness(StorageHarness):
    """The storage suite's harness on a disk that forgets unsynced bytes; ``syncs``: False makes sync do nothing."""

    def __init__(self, make: Callable[[FakeDisk], StorageBackend] = TinyDBBackend, *, syncs: bool = True) -> None:
        self.disk = with_folders(FakeDisk())
        self.syncs = syncs
        super().__init__(lambda: make(self.disk), StorageContext(HOME, log_max_unverified=200), SCRATCH)

    async def start(self) -> None:
        await super().start()
        self.disk.syncs = self.syncs

    def files_contain(self, tenant: str, text: bytes) -> bool:
        folders = [HOME / tenant, HOME / tenant / PREVIOUS]
        names = ((folder, name) for folder in folders if self.disk.exists(folder) for name in self.disk.names(folder))
        return any(text in self.disk.read(folder / name) for folder, name in names if name != PREVIOUS)

    async def power_cut(self) -> StorageBackend:
        after = self.disk.power_cut()
        await self.store.close()
        self.disk = after
        self.store = self._make()
        await self.store.open(self.context)
        return self.store

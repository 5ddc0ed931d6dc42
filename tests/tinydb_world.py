"""Stores of crm_tinydb on a disk in memory, for its tests."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
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


class SlowDisk(FakeDisk):
    """A disk whose writes wait at a gate, so that a test can act while they are in flight."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Event()
        self.gate.set()

    def write(self, handle: int, data: bytes) -> int:
        assert self.gate.wait(10)
        return super().write(handle, data)


class FullDisk(FakeDisk):
    """A disk that has no space for files whose names begin so, while it is full."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.full = False
        self._prefix = prefix

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, durable: bool = False) -> int:
        if self.full and path.name.startswith(self._prefix):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().open(path, create=create, exclusive=exclusive, durable=durable)


class FakeDiskHarness(StorageHarness):
    """The storage suite's harness on a disk that forgets unsynced bytes; ``syncs``: False makes sync do nothing."""

    def __init__(self, make: Callable[[FakeDisk], StorageBackend] = TinyDBBackend, *, syncs: bool = True) -> None:
        self.disk = with_folders(FakeDisk())
        self.syncs = syncs
        super().__init__(lambda: make(self.disk), StorageContext(HOME, log_max_unverified=200), SCRATCH)

    async def start(self) -> None:
        await super().start()
        self.disk.syncs = self.syncs

    def _with(self, tenant: str, text: bytes) -> list[Path]:
        folders = [HOME / tenant, HOME / tenant / PREVIOUS]
        paths = [folder / name for folder in folders if self.disk.exists(folder) for name in self.disk.names(folder)]
        return [path for path in paths if path.name != PREVIOUS and text in self.disk.read(path)]

    def files_contain(self, tenant: str, text: bytes) -> bool:
        return bool(self._with(tenant, text))

    def _replace(self, tenant: str, old: bytes, new: bytes) -> int:
        found = self._with(tenant, old)
        for path in found:
            self.disk.edit(path, lambda data: data.replace(old, new))
        return len(found)

    @contextmanager
    def failing_writes(self) -> Iterator[None]:
        self.disk.fail("write", errno.ENOSPC, 1000)
        try:
            yield
        finally:
            self.disk.heal()

    async def kill(self) -> StorageBackend:
        return await self._continue_on(self.disk.power_cut("all"))

    async def power_cut(self) -> StorageBackend:
        return await self._continue_on(self.disk.power_cut())

    async def _continue_on(self, disk: FakeDisk) -> StorageBackend:
        self._others.append(self.store)
        self.disk = disk
        return await self._open()

"""The ring of unverified attempts is never written by two threads, and no failed write leaves half a line in it."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from threading import Event, Timer

import pytest

from crm_core.plugin.storage import EntryQuery, StorageContext
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import entry
from crm_tinydb.disk import RealDisk
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import opened
from tinydb_world import with_folders


class SlowDisk(RealDisk):
    """The real disk, on which the first write of the ring waits at a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.waiting = Event(), Event()

    def write(self, handle: int, data: bytes) -> int:
        if b'"signature_result"' in data and not self.waiting.is_set():
            self.waiting.set()
            assert self.gate.wait(10)
        return super().write(handle, data)


async def noted(store: TinyDBBackend) -> tuple[str, int]:
    found = await store.entries("north", EntryQuery(verified=False, limit=99))
    return (await store.state("north")).mode, len(found)


async def during_a_flush(folder: Path, act: Callable[[TinyDBBackend], Coroutine[None, None, None]]) -> tuple[str, int]:
    """Act while an attempt is being written and another waits; return the state and attempts after a kill."""
    disk = SlowDisk()
    store = TinyDBBackend(disk)
    await store.open(StorageContext(folder / "tenants"))
    await store.create("north")
    await store.view("north", None)
    store.note("north", entry(1, signature_result="invalid"))
    await asyncio.to_thread(disk.waiting.wait, 10)
    store.note("north", entry(2, signature_result="invalid"))
    Timer(0.3, disk.gate.set).start()  # from a thread: a store that closes waits for its threads
    await act(store)
    await asyncio.to_thread(disk.gate.wait, 10)
    await asyncio.sleep(0.2)
    shutil.copytree(folder / "tenants", folder / "killed")
    await store.close()
    after = TinyDBBackend()
    await after.open(StorageContext(folder / "killed"))
    try:
        return await noted(after)
    finally:
        await after.close()


async def test_a_fold_during_a_flush(tmp_path: Path) -> None:
    """A fold, which writes attempts too, waits for their flush: two threads would write one file."""
    assert await during_a_flush(tmp_path, lambda store: store.fold("north")) == ("ok", 2)


async def test_a_store_that_closes_during_a_flush(tmp_path: Path) -> None:
    """Attempts that are being written when the store closes, and those behind them, are there after a restart."""
    assert await during_a_flush(tmp_path, lambda store: store.close()) == ("ok", 2)


@pytest.mark.parametrize("cut", [True, False])
async def test_a_failed_write_of_the_ring(cut: bool, stores: list[TinyDBBackend]) -> None:
    """After a failed write, undone or not, later attempts are written, and the file is whole."""
    disk = with_folders(FakeDisk())
    store = await opened(disk, stores)
    await store.create("north")
    await store.view("north", None)
    store.note("north", entry(1, signature_result="invalid"))
    await store.fold("north")
    store.note("north", entry(2, signature_result="invalid"))
    disk.fail("write", errno.ENOSPC)
    if not cut:
        disk.fail("truncate", errno.EIO)
    await store.fold("north")
    store.note("north", entry(3, signature_result="invalid"))
    await store.fold("north")
    after = await opened(disk.power_cut("all"), stores)
    assert await noted(after) == ("ok", 3)

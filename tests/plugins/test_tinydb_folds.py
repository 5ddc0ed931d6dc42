"""Folds that are cancelled or fail: no file stays that a later opening would misread, or that fills the disk."""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import Committed, EntryQuery
from crm_core.testing.disk import FakeDisk
from crm_tinydb.log_reading import entries_of
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import consistent_state, filled, opened, unit
from tinydb_world import HOME, FullDisk

NORTH = HOME / "north"


class GatedDisk(FakeDisk):
    """A disk on which one file is begun at a gate."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name_, self.gate, self.waiting = name, Event(), Event()

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, durable: bool = False) -> int:
        if path.name == self.name_:
            self.waiting.set()
            assert self.gate.wait(10)
        return super().open(path, create=create, exclusive=exclusive, durable=durable)


@pytest.mark.parametrize("name", ["journal-00000002.log.new", "store-00000002.json.new"])
async def test_a_fold_whose_caller_left(name: str, stores: list[TinyDBBackend]) -> None:
    """A cancelled fold is finished: units that follow are in the journal that it began."""
    disk = GatedDisk(name)
    store = await filled(disk, stores)
    folding = asyncio.create_task(store.fold("north"))
    await asyncio.to_thread(disk.waiting.wait, 10)
    folding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await folding
    later = asyncio.create_task(store.commit("north", unit(4)))
    await asyncio.sleep(0.1)
    disk.gate.set()
    assert isinstance(await later, Committed)
    await asyncio.sleep(0.1)
    for survives in ("synced", "all"):
        after = await opened(disk.power_cut(survives), stores)  # type: ignore[arg-type]
        assert (await after.state("north")).mode == "ok"
        assert (await consistent_state(after))[0] == 4


async def test_folds_that_find_no_space_leave_no_segments(stores: list[TinyDBBackend]) -> None:
    """However often a fold fails, its files do not pile up; the next one that has space succeeds."""
    disk = FullDisk("store-")
    store = await filled(disk, stores, folds=1)
    before = [name for name in disk.names(NORTH) if name.endswith(".seg")]
    disk.full = True
    for number in range(7, 10):
        await store.commit("north", unit(number))
        with pytest.raises(StorageFull):
            await store.fold("north")
        assert [name for name in disk.names(NORTH) if name.endswith(".seg")] == before
    assert (await consistent_state(store))[0] == 9
    disk.full = False
    await store.fold("north")
    after = await opened(disk.power_cut(), stores)
    assert (await consistent_state(after))[0] == 9


async def test_a_folded_file_whose_sync_failed_has_its_segments(stores: list[TinyDBBackend]) -> None:
    """A fold that failed after its folded file had its name removes no file that this one lists."""
    for number in range(12):
        disk = FakeDisk()
        store = await filled(disk, stores, folds=1)
        calls = len(disk.calls)
        disk.fail_at = calls + number, errno.EIO
        with suppress(StorageUnavailable):
            await store.fold("north")
        after = await opened(disk.power_cut("all"), stores)
        assert ((await after.state("north")).mode, await after.check("north")) == ("ok", ())


async def test_a_tenant_closes_after_its_damaged_file_was_moved_aside(stores: list[TinyDBBackend]) -> None:
    """A folder does not move while a thread marks it, although the damage was found when the closing had begun."""
    disk = GatedDisk("quarantine.new")
    store = await filled(disk, stores, folds=1)
    tenant = store.open_tenants.find_open("north")
    assert tenant is not None
    name = next(name for name in disk.names(NORTH) if name.startswith("log-"))
    disk.edit(NORTH / name, lambda data: data[:-9])
    async with tenant.maintenance:
        moving = asyncio.create_task(store.rename("north", "east"))
        await asyncio.sleep(0.1)
        await entries_of(tenant, EntryQuery())
        await asyncio.to_thread(disk.waiting.wait, 10)
    await asyncio.sleep(0.1)
    assert not moving.done()
    disk.gate.set()
    await moving
    assert (await store.state("east")).mode == "quarantined"
    assert f"{name}.damaged-1" in disk.names(HOME / "east")

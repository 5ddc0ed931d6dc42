"""After a failed write the journal has its durable part and nothing else, whichever call fails next."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import Committed, StorageContext, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import put
from crm_tinydb.disk import RealDisk
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import consistent_state, filled, opened, unit
from tinydb_world import HOME, SlowDisk, open_store, with_folders

REFUSED = (StorageFull, StorageUnavailable)
NORTH = HOME / "north"


class ThirdsDisk(FakeDisk):
    """A disk that makes two thirds of a batch durable, then has no space."""

    full = False

    def write(self, handle: int, data: bytes) -> int:
        if not self.full:
            return super().write(handle, data)
        if len(data) < 900:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(handle, data[: len(data) * 2 // 3])


async def test_a_refused_unit_stays_away_after_a_power_cut(stores: list[TinyDBBackend]) -> None:
    """The durable part of a failed write is cut off, durably, before its units are refused."""
    disk = with_folders(ThirdsDisk())
    store = await open_store(disk)
    stores.append(store)
    await store.create("north")
    await store.view("north", None)
    disk.full = True
    outcomes = await asyncio.gather(
        *(store.commit("north", Unit(now=1, puts=(put(f"d{number}"),))) for number in range(12)),
        return_exceptions=True,
    )
    assert all(isinstance(outcome, StorageFull) for outcome in outcomes)
    after = await opened(disk.power_cut(), stores)
    assert await after.count("north", "notes") == 0


class LateDisk(FakeDisk):
    """A disk whose folders are durable although their sync reported a failure."""

    def sync_folder(self, path: Path) -> None:
        folder = self._folder(path)
        folder.synced = dict(folder.names)
        super().sync_folder(path)


async def test_a_journal_that_a_failed_fold_began_is_gone_durably(stores: list[TinyDBBackend]) -> None:
    """Units that follow in the old journal are not in conflict with a new one that a power cut brings back."""
    disk = LateDisk()
    store = await filled(disk, stores)
    disk.fail("sync_folder", errno.EIO)
    with pytest.raises(StorageUnavailable):
        await store.fold("north")
    assert isinstance(await store.commit("north", unit(4)), Committed)
    after = await opened(disk.power_cut(), stores)
    assert (await after.state("north")).mode == "ok"
    assert (await consistent_state(after))[0] == 4


class FailingDisk(RealDisk):
    """The real disk, whose next writes to a journal fail."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code, self.failures = code, 0

    def write(self, handle: int, data: bytes) -> int:
        if self.failures and data[8:9] == b" ":
            self.failures -= 1
            raise OSError(self.code, os.strerror(self.code))
        return super().write(handle, data)


@pytest.mark.parametrize("change", ["cut", "flipped"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_a_journal_that_lost_answered_units_is_not_written_to(tmp_path: Path, code: int, change: str) -> None:
    """A repair that cannot find the durable part refuses writes; memory still has everything for a backup."""
    disk = FailingDisk(code)
    store = TinyDBBackend(disk)
    await store.open(StorageContext(tmp_path / "tenants"))
    await store.create("north")
    for number in range(1, 4):
        await store.commit("north", unit(number))
    disk.failures = 1
    with pytest.raises(REFUSED):
        await store.commit("north", unit(4))
    journal = tmp_path / "tenants" / "north" / "journal-00000001.log"
    data = bytearray(journal.read_bytes())
    data[-300] ^= 4
    journal.write_bytes(journal.read_bytes()[:-10] if change == "cut" else data)
    if code == errno.EIO or change == "cut":
        with pytest.raises(StorageUnavailable):
            await store.commit("north", unit(4))
        assert (await store.state("north")).mode == "read_only"
    await store.backup("north", tmp_path / "copy")
    await store.restore("south", tmp_path / "copy")
    assert (await store.view("south", None)).seq == 3
    await store.close()


async def test_a_closed_tenant_repairs_nothing(stores: list[TinyDBBackend], monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails while its tenant closes starts no probe, which would cut the journal of the next one."""
    monkeypatch.setattr("crm_tinydb.group_commit.PROBE_EVERY", 0.01)
    disk = with_folders(SlowDisk())
    store = await open_store(disk)
    stores.append(store)
    for name in ("north", "east"):
        await store.create(name)
    await store.commit("north", unit(1))
    disk.gate.clear()
    late = asyncio.create_task(store.commit("north", unit(2)))
    await asyncio.sleep(0.01)
    moving = asyncio.create_task(store.rename("north", "away"))
    await asyncio.sleep(0.01)
    disk.fail("write", errno.ENOSPC)
    disk.gate.set()
    with pytest.raises(StorageFull):
        await late
    await moving
    await store.rename("east", "north")
    for number in range(1, 8):
        assert isinstance(await store.commit("north", unit(number)), Committed)
    await asyncio.sleep(0.2)
    after = await opened(disk.power_cut("all"), stores)
    assert ((await after.state("north")).mode, (await after.view("north", None)).seq) == ("ok", 7)


async def test_a_tenant_closes_after_its_repair(stores: list[TinyDBBackend], monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder does not move while a thread repairs the journal in it."""
    monkeypatch.setattr("crm_tinydb.group_commit.PROBE_EVERY", 0.01)
    disk = with_folders(SlowDisk())
    store = await open_store(disk)
    stores.append(store)
    await store.create("north")
    disk.fail("write", errno.ENOSPC)
    with pytest.raises(StorageFull):
        await store.commit("north", unit(1))
    disk.gate.clear()
    async with asyncio.timeout(20):
        while not disk.exists(NORTH / "probe.new"):  # noqa: ASYNC110 -- another thread's file
            await asyncio.sleep(0.01)
    moving = asyncio.create_task(store.rename("north", "east"))
    await asyncio.sleep(0.1)
    assert not moving.done()
    disk.gate.set()
    await moving
    assert isinstance(await store.commit("east", unit(1)), Committed)


async def test_many_requests_share_an_attempt_to_write_again(stores: list[TinyDBBackend]) -> None:
    """Requests that come while the disk fails wait for one or two attempts, not for one of each of them."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    disk.fail("write", errno.EIO, 1000)
    with pytest.raises(StorageUnavailable):
        await store.commit("north", unit(4))
    before = len(disk.calls)
    outcomes = await asyncio.gather(*(store.commit("north", unit(4)) for _ in range(50)), return_exceptions=True)
    assert all(isinstance(outcome, StorageUnavailable) for outcome in outcomes)
    assert disk.calls[before:].count("open probe.new") <= 3
    disk.heal()
    outcomes = await asyncio.gather(*(store.commit("north", unit(4)) for _ in range(50)))
    assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 1

from __future__ import annotations

import asyncio
import contextlib
import errno

import pytest

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import Committed
from crm_core.testing.disk import FakeDisk, Survives
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import consistent_state, filled, opened, unit


@pytest.mark.parametrize("survives", ["synced", "half", "all"])
async def test_commit_stopped_after_each_call(survives: Survives, stores: list[TinyDBBackend]) -> None:
    """A commit stopped after any disk call is stored whole or not at all; an answered one is stored."""
    for stop in range(12):
        disk = FakeDisk()
        store = await filled(disk, stores)
        disk.stop_at = len(disk.calls) + stop
        answered = 3
        try:
            await store.commit("north", unit(4))
            answered = 4
        except (StorageUnavailable, StorageFull):
            pass
        after = await opened(disk.power_cut(survives), stores)
        assert (await after.state("north")).mode == "ok"
        seq, _, _ = await consistent_state(after)
        assert answered <= seq <= 4
        assert isinstance(await after.commit("north", unit(seq + 1)), Committed)
        if answered == 4:
            return
    pytest.fail("the commit must succeed within 12 disk calls")


@pytest.mark.parametrize("survives", ["synced", "half", "all"])
@pytest.mark.parametrize("folds", [0, 1, 2])
async def test_fold_stopped_after_each_call(survives: Survives, folds: int, stores: list[TinyDBBackend]) -> None:
    """A fold stopped after any disk call loses nothing, and the tenant opens healthy."""
    whole = False
    for stop in range(60):
        disk = FakeDisk()
        store = await filled(disk, stores, folds=folds)
        expected = 3 * (folds + 1)
        before = len(disk.calls)
        disk.stop_at = before + stop
        with contextlib.suppress(StorageUnavailable, StorageFull):
            await store.fold("north")
        whole = len(disk.calls) < before + stop
        after = await opened(disk.power_cut(survives), stores)
        assert (await after.state("north")).mode == "ok", disk.calls[before:]
        assert (await consistent_state(after))[0] == expected
        assert isinstance(await after.commit("north", unit(expected + 1)), Committed)
        await after.fold("north")
        again = await opened(after._disk.power_cut(), stores)  # type: ignore[attr-defined]
        assert (await consistent_state(again))[0] == expected + 1
        if whole:
            return
    pytest.fail("the fold must finish within 60 disk calls")


async def test_without_fsync_a_power_cut_loses_commits(stores: list[TinyDBBackend]) -> None:
    """The fake disk reveals a missing fsync: without it a power cut loses an answered commit."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    disk.syncs = False
    await store.commit("north", unit(4))
    after = await opened(disk.power_cut(), stores)
    assert (await after.view("north", None)).seq == 3


@pytest.mark.parametrize(
    ("call", "code", "error"),
    [
        ("write", errno.ENOSPC, StorageFull),
        ("write", errno.EDQUOT, StorageFull),
        ("write", errno.EIO, StorageUnavailable),
        ("sync", errno.EIO, StorageUnavailable),
        ("sync", errno.ENOSPC, StorageFull),
    ],
)
async def test_failed_write(call: str, code: int, error: type[Exception], stores: list[TinyDBBackend]) -> None:
    """A failed write is refused and changes nothing; only its tenant is read-only, and recovers without a restart."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    disk.fail(call, code)
    disk._faults += [("open", code)] * 3
    with pytest.raises(error):
        await store.commit("north", unit(4))
    assert (await store.state("north")).mode == "read_only"
    assert (await store.view("north", None)).seq == 3
    assert await store.claim("north", "nonce", "n4") is None
    for _ in range(3):
        with pytest.raises((StorageFull, StorageUnavailable)):
            await store.commit("north", unit(4))
    assert (await store.state("south")).mode == "ok"
    assert isinstance(await store.commit("south", unit(2)), Committed)
    assert isinstance(await store.commit("north", unit(4)), Committed)
    assert (await store.state("north")).mode == "ok"
    assert (await consistent_state(store))[0] == 4
    after = await opened(disk.power_cut(), stores)
    assert (await consistent_state(after))[0] == 4


async def test_recovers_without_a_request(stores: list[TinyDBBackend]) -> None:
    """A tenant accepts writes again after its disk recovers, even if no request tried to write."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    disk.fail("sync", errno.EIO)
    with pytest.raises(StorageUnavailable):
        await store.commit("north", unit(4))
    async with asyncio.timeout(20):
        while (await store.state("north")).mode != "ok":  # noqa: ASYNC110 -- the store sends no signal
            await asyncio.sleep(0.05)


async def test_failed_sync_fails_all_behind_it(stores: list[TinyDBBackend]) -> None:
    """Units queued behind a failed sync fail with it; none is stored, and their claims are free."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    disk.fail("sync", errno.EIO)
    outcomes = await asyncio.gather(
        *(store.commit("north", unit(number)) for number in range(4, 14)), return_exceptions=True
    )
    assert all(isinstance(outcome, StorageUnavailable) for outcome in outcomes)
    assert (await store.view("north", None)).seq == 3
    assert isinstance(await store.commit("north", unit(4)), Committed)
    for survives in ("synced", "all"):
        after = await opened(disk.power_cut(survives), stores)  # type: ignore[arg-type]
        assert (await consistent_state(after))[0] == 4


async def test_short_writes(stores: list[TinyDBBackend]) -> None:
    """A unit is complete on a disk that accepts only a part at a time."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    disk._faults = [("short", 0)] * 4
    await store.commit("north", unit(4))
    after = await opened(disk.power_cut(), stores)
    assert (await consistent_state(after))[0] == 4


async def test_too_many_open_files(stores: list[TinyDBBackend]) -> None:
    """A tenant that cannot be opened because file handles ran out is unavailable, not quarantined, and opens later."""
    disk = FakeDisk()
    await filled(disk, stores)
    cut = disk.power_cut()
    after = await opened(cut, stores)
    cut.fail("read", errno.EMFILE)
    with pytest.raises(StorageUnavailable):
        await after.view("north", None)
    assert (await consistent_state(after))[0] == 3


@pytest.mark.parametrize("call", ["open", "write", "sync", "replace", "sync_folder"])
async def test_fold_without_space(call: str, stores: list[TinyDBBackend]) -> None:
    """A fold on a full disk fails, loses nothing, and succeeds when there is space again."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    disk.fail(call, errno.ENOSPC)
    with pytest.raises(StorageFull):
        await store.fold("north")
    assert isinstance(await store.commit("north", unit(4)), Committed)
    after = await opened(disk.power_cut(), stores)
    assert (await consistent_state(after))[0] == 4
    await store.fold("north")
    assert (await consistent_state(store))[0] == 4

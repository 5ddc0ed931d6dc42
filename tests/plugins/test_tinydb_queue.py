from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator

import pytest

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import (
    Claim,
    Committed,
    Conflict,
    CountBelow,
    Delete,
    IndexFree,
    Put,
    Unit,
)
from crm_core.testing.storage import put
from crm_tinydb.framing import BATCH, LINE
from crm_tinydb.storage import TinyDBBackend
from tinydb_world import SlowDisk, open_store, with_folders


@pytest.fixture
async def disk() -> SlowDisk:
    return with_folders(SlowDisk())


@pytest.fixture
async def store(disk: SlowDisk) -> AsyncIterator[TinyDBBackend]:
    store = await open_store(disk)
    await store.create("north")
    await store.view("north", None)  # open, or a second unit could overtake one that waits for the opening
    yield store
    disk.gate.set()
    await store.close()


def claiming(key: str, number: int) -> Unit:
    return Unit(now=1, claims=(Claim("nonce", key, b'{"by":%d}' % number),), puts=(put(f"d{number}"),))


async def test_conflict_with_queued_unit_waits_for_it(store: TinyDBBackend, disk: SlowDisk) -> None:
    """A conflict with a queued unit is answered when that unit is durable."""
    disk.gate.clear()
    first = asyncio.create_task(store.commit("north", claiming("k", 1)))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(store.commit("north", claiming("k", 2)))
    await asyncio.sleep(0.05)
    assert not second.done()
    disk.gate.set()
    assert isinstance(await first, Committed)
    outcome = await second
    assert isinstance(outcome, Conflict)
    assert outcome.evidence == b'{"by":1}'


async def test_loser_to_a_failed_unit_is_not_named_a_winner(store: TinyDBBackend, disk: SlowDisk) -> None:
    """If the queued unit fails, the unit in conflict with it gets the failure, not a conflict."""
    disk.gate.clear()
    disk.fail("sync", errno.EIO)
    first = asyncio.create_task(store.commit("north", claiming("k", 1)))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(store.commit("north", claiming("k", 2)))
    await asyncio.sleep(0.01)
    disk.gate.set()
    for task in (first, second):
        with pytest.raises(StorageUnavailable):
            await task
    assert isinstance(await store.commit("north", claiming("k", 3)), Committed)


async def test_cancelled_caller_leaves_its_unit(store: TinyDBBackend, disk: SlowDisk) -> None:
    """Cancelling a caller leaves its unit queued: it becomes durable, and a conflicting unit waits for it."""
    disk.gate.clear()
    first = asyncio.create_task(store.commit("north", claiming("k", 1)))
    await asyncio.sleep(0.01)
    queued = asyncio.create_task(store.commit("north", claiming("q", 2)))
    await asyncio.sleep(0.01)
    first.cancel()
    queued.cancel()
    second = asyncio.create_task(store.commit("north", claiming("q", 3)))
    await asyncio.sleep(0.05)
    assert first.cancelled()
    assert not second.done()
    disk.gate.set()
    outcome = await second
    assert isinstance(outcome, Conflict)
    assert (await store.view("north", None)).seq == 2


async def test_queued_units_count(store: TinyDBBackend, disk: SlowDisk) -> None:
    """Limits and unique index values are tested against queued puts, rewrites and deletes."""
    await store.commit("north", Unit(now=1, puts=(put("a", indexes={"k": "x"}), put("b", indexes={"k": "y"}))))
    disk.gate.clear()

    async def queued(unit: Unit) -> asyncio.Task[Committed | Conflict]:
        task = asyncio.create_task(store.commit("north", unit))
        await asyncio.sleep(0.01)
        return task

    free_x = IndexFree("notes", "k", "x", "c")
    tasks = [
        await queued(Unit(now=1, puts=(put("a", indexes={"k": "z"}),))),
        await queued(Unit(now=1, expect=(free_x,), puts=(put("c", indexes={"k": "x"}),))),
        await queued(Unit(now=1, deletes=(Delete("notes", "b"),))),
        await queued(Unit(now=1, expect=(IndexFree("notes", "k", "y", "d"), CountBelow("notes", 3)), puts=(put("d"),))),
        await queued(Unit(now=1, puts=(put("c", indexes={"k": ("p", "q")}),))),
        await queued(Unit(now=1, expect=(free_x,), puts=(put("a", indexes={"k": "x"}),), deletes=())),
    ]
    late = [
        await queued(Unit(now=1, expect=(CountBelow("notes", 3),), puts=(put("e"),))),
        await queued(Unit(now=1, expect=(IndexFree("notes", "k", "q", "e"),))),
    ]
    disk.gate.set()
    assert all(isinstance(outcome, Committed) for outcome in await asyncio.gather(*tasks))
    outcomes = await asyncio.gather(*late)
    assert [outcome.what for outcome in outcomes if isinstance(outcome, Conflict)] == ["count", "index"]


async def test_failed_sync_is_remembered(store: TinyDBBackend, disk: SlowDisk) -> None:
    """After a failed sync the journal is rewritten before the next write, even if other calls fail in between."""
    disk.fail("sync", errno.EIO)
    with pytest.raises(StorageUnavailable):
        await store.commit("north", claiming("k", 1))
    disk.fail("open", errno.ENOSPC, times=2)
    for number in range(2):
        with pytest.raises((StorageFull, StorageUnavailable)):
            await store.commit("north", claiming("k", number))
    before = len(disk.calls)
    assert isinstance(await store.commit("north", claiming("k", 3)), Committed)
    assert "replace journal-00000001.log" in disk.calls[before:]


async def test_no_space_needs_no_space(store: TinyDBBackend, disk: SlowDisk) -> None:
    """After a write without space the journal is truncated, not copied: a full disk has no space for a copy."""
    disk.fail("write", errno.ENOSPC)
    with pytest.raises(StorageFull):
        await store.commit("north", claiming("k", 1))
    before = len(disk.calls)
    assert isinstance(await store.commit("north", claiming("k", 2)), Committed)
    assert not [call for call in disk.calls[before:] if call.startswith("replace")]


async def test_what_could_not_be_read_back_is_refused(store: TinyDBBackend, disk: SlowDisk) -> None:
    """Bodies that are not JSON and index values of other types are refused: the journal could not be read back."""
    wrong = [
        Put("notes", "a", b"{not json"),
        Put("notes", "a", b"{}", {"k": 1.5}),  # type: ignore[dict-item]
        Put("notes", "a", b"{}", {"k": ("x", 1)}),  # type: ignore[dict-item]
        Put("notes", "a", b"{}", {"k": 1 << 63}),
        Put("_claims", "a", b"{}"),
    ]
    for each in wrong:
        with pytest.raises(ValueError, match=r"."):
            await store.commit("north", Unit(now=1, puts=(put("b"), each)))
    line = Put("notes", "b", b'{"a":\n1}\n')
    assert isinstance(await store.commit("north", Unit(now=1, puts=(line,))), Committed)
    again = await open_store(disk.power_cut())
    assert (await again.state("north")).mode == "ok"
    assert await again.count("north", "notes") == 1
    await again.close()


class MeasuringDisk(SlowDisk):
    """A disk that notes the lengths of the writes of units."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[int] = []

    def write(self, handle: int, data: bytes) -> int:
        if b'"seq"' in data:
            self.written.append(len(data))
        return super().write(handle, data)


async def test_a_batch_is_no_longer_than_a_power_cut_may_leave_as_zeros() -> None:
    """The checksums and line feeds of its lines count too."""
    disk = with_folders(MeasuringDisk())
    store = await open_store(disk)
    await store.create("north")

    def filled(length: int) -> Unit:
        return Unit(now=1, puts=(put("d", {"text": "x" * length}),))

    for _ in range(10):
        await store.commit("north", filled(0))
    length = BATCH // 64 - (disk.written[-1] - LINE)
    disk.gate.clear()
    first = asyncio.create_task(store.commit("north", filled(0)))
    await asyncio.sleep(0.05)
    many = [asyncio.create_task(store.commit("north", filled(length))) for _ in range(64)]
    await asyncio.sleep(0.05)
    disk.gate.set()
    await asyncio.gather(first, *many)
    assert BATCH - BATCH // 64 <= max(disk.written) <= BATCH
    await store.close()

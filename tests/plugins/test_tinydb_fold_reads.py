"""Reads of the logs while a fold replaces the files that they read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event

import pytest

from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import Delete, EntryQuery, StorageContext, Unit
from crm_core.testing.storage import entry
from crm_core.testing.storage_changes import change, written
from crm_tinydb.disk import RealDisk
from crm_tinydb.storage import TinyDBBackend

NOW = 1_800_000_000


class SlowDisk(RealDisk):
    """The real disk, on which one read of a segment waits at a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.slow = ""  # how the name begins
        self.after = False  # whether to wait after the read
        self.gate, self.waiting = Event(), Event()

    def read(self, path: Path) -> bytes:
        return self._wait(path) or super().read(path)

    def read_part(self, path: Path, start: int, count: int) -> bytes:
        return self._wait(path)[start : start + count] or super().read_part(path, start, count)

    def _wait(self, path: Path) -> bytes:
        if not self.slow or not path.name.startswith(self.slow):
            return b""
        self.slow = ""
        found = super().read(path) if self.after else b""
        self.waiting.set()
        assert self.gate.wait(10)
        return found


@pytest.fixture
async def disk() -> SlowDisk:
    return SlowDisk()


@pytest.fixture
async def store(disk: SlowDisk, tmp_path: Path) -> AsyncIterator[TinyDBBackend]:
    store = TinyDBBackend(disk)
    await store.open(StorageContext(tmp_path / "tenants"))
    await store.create("north")
    yield store
    disk.gate.set()
    await store.close()


async def commit(store: TinyDBBackend, number: int) -> None:
    unit = written(change("a", number), change("b", number))
    await store.commit("north", Unit(now=NOW, puts=unit.puts, changes=unit.changes, entries=(entry(number),)))


@pytest.mark.parametrize("read", ["entries", "tally"])
async def test_a_page_of_the_log_during_a_fold(read: str, store: TinyDBBackend, disk: SlowDisk) -> None:
    """A page or a count has the entries of a segment that a fold replaces while it is read."""
    for number in range(1, 4):
        await commit(store, number)
    await store.fold("north")
    await commit(store, 4)
    first = (await store.entries("north", EntryQuery()))[-1]
    since = entry(2).received_at
    disk.slow = "log-"
    reading = asyncio.create_task(
        store.entries("north", EntryQuery()) if read == "entries" else store.tally("north", since)  # type: ignore[arg-type]
    )
    await asyncio.to_thread(disk.waiting.wait, 10)
    await store.fold("north")
    disk.gate.set()
    found = await reading
    if isinstance(found, tuple):
        assert [each.seq for each in found] == [4, 3, 2, 1]
        assert found[-1] == first
    else:
        assert sum(found.statuses.values()) == 3
    assert (await store.state("north")).mode == "ok"


@pytest.mark.parametrize("act", ["rename", "remove"])
@pytest.mark.parametrize("read", ["log-", "changes-"])
async def test_a_page_of_a_log_while_the_tenant_goes(read: str, act: str, store: TinyDBBackend, disk: SlowDisk) -> None:
    """A page whose segment moved away with the folder is refused, and no file is called damaged."""
    await commit(store, 1)
    await store.fold("north")
    disk.slow = read
    reading = asyncio.create_task(
        store.entries("north", EntryQuery()) if read == "log-" else store.changes("north", 0)  # type: ignore[arg-type]
    )
    await asyncio.to_thread(disk.waiting.wait, 10)
    await (store.rename("north", "east") if act == "rename" else store.remove("north"))
    disk.gate.set()
    with pytest.raises(StorageUnavailable, match="has just been closed"):
        await reading


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("known", [True, False])
async def test_changes_during_the_fold_after_an_erase(
    after: bool, known: bool, store: TinyDBBackend, disk: SlowDisk
) -> None:
    """A page that was read from the files before the fold shows nothing of the erased record either."""
    for number in range(1, 4):
        await commit(store, number)
    await store.fold("north")
    if known:  # where the entries are in the file
        await store.changes("north", 0)
    erased = change("a", 4, change="erased", external_id=None, changes=())
    await store.commit("north", Unit(now=NOW, deletes=(Delete("notes", "a"),), changes=(erased,)))
    disk.slow, disk.after = "changes-", after
    reading = asyncio.create_task(store.changes("north", 0, 6))
    await asyncio.to_thread(disk.waiting.wait, 10)
    await store.fold("north")
    disk.gate.set()
    page = await reading
    assert page.texts is not None
    assert [each.place for each in page.entries or ()] == [1, 2, 3, 4, 5, 6]
    assert (b"own-a" in b"".join(page.texts), b"own-b" in b"".join(page.texts)) == (False, True)
    assert (await store.state("north")).mode == "ok"

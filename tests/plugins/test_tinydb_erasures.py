"""The fold after an erase comes, also if the erase was cancelled or the fold before it failed."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import Conflict, Delete, DocumentAt, StorageContext, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import put
from crm_core.testing.storage_changes import change, written
from crm_tinydb.erasures import MARK
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import NOW
from tinydb_world import HOME, with_folders

NORTH = HOME / "north"
ERASED = Unit(
    now=NOW,
    deletes=(Delete("notes", "a"),),
    changes=(change("a", 4, change="erased", external_id=None, changes=()),),
)


class GatedDisk(FakeDisk):
    """A disk on which the units of erases wait at a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.waiting = Event(), Event()
        self.gate.set()

    def write(self, handle: int, data: bytes) -> int:
        if b'"erased"' in data:
            self.waiting.set()
            assert self.gate.wait(10)
        return super().write(handle, data)


@pytest.fixture
async def disk() -> GatedDisk:
    return with_folders(GatedDisk())


@pytest.fixture
async def store(disk: GatedDisk) -> AsyncIterator[TinyDBBackend]:
    """A store that folds soon after an erase, with what the record ``a`` says in two generations."""
    store = TinyDBBackend(disk, fold_erased_after=0.1)
    await store.open(StorageContext(HOME))
    await store.create("north")
    for number in range(1, 4):
        await store.commit("north", written(change("a", number), change("b", number)))
        await store.fold("north")
    yield store
    disk.gate.set()
    disk.heal()
    await store.close()


def everything(disk: FakeDisk, folder: Path) -> bytes:
    names = disk.names(folder)
    inner = everything(disk, folder / "previous") if "previous" in names else b""
    return inner + b"".join(disk.read(folder / name) for name in names if name != "previous")


async def cleaned(disk: FakeDisk, folder: Path = NORTH) -> None:
    """Wait until no file says what the record said, and the mark is gone."""
    for _ in range(1000):
        if b"own-a" not in everything(disk, folder) and MARK not in disk.names(folder):
            return
        await asyncio.sleep(0.02)
    left = [b"own-a" in everything(disk, folder), MARK in disk.names(folder)]
    pytest.fail(f"the erased record is there, the mark is there: {left}")


async def test_an_erase_whose_caller_left(store: TinyDBBackend, disk: GatedDisk) -> None:
    """The fold follows also if the request was cancelled while its unit was written."""
    disk.gate.clear()
    erasing = asyncio.create_task(store.commit("north", ERASED))
    await asyncio.to_thread(disk.waiting.wait, 10)
    erasing.cancel()
    with suppress(asyncio.CancelledError):
        await erasing
    disk.gate.set()
    await cleaned(disk)
    assert (await store.get("north", "notes", "a")).document is None


async def test_a_tenant_that_accepts_no_writes_when_its_time_has_come(store: TinyDBBackend, disk: GatedDisk) -> None:
    """The fold is tried again until it was made."""
    await store.commit("north", ERASED)
    disk.fail("sync", errno.EIO)
    disk._faults += [("open", errno.EIO)] * 2  # of the first probes
    with pytest.raises((StorageFull, StorageUnavailable)):
        await store.commit("north", Unit(now=NOW, puts=(put("c"),)))
    await asyncio.sleep(0.3)
    assert (await store.state("north")).mode == "read_only"
    await cleaned(disk)


@pytest.mark.parametrize("call", ["remove", "sync_folder"])
async def test_files_that_the_fold_could_not_remove(
    call: str, store: TinyDBBackend, disk: GatedDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark stays until they are removed, which is tried again without a write or a restart."""
    await store.commit("north", ERASED)
    real = getattr(disk, call)

    def failing(*paths: Path) -> None:
        if "previous" in paths[0].parts or call == "remove":
            raise OSError(errno.EIO, "Input/output error")
        real(*paths)

    with monkeypatch.context() as broken:
        broken.setattr(disk, call, failing)
        await store.fold("north")
        assert MARK in disk.names(NORTH)
        await store.commit("north", written(change("b", 4)))
        await store.fold("north")
        assert MARK in disk.names(NORTH)
    await cleaned(disk)


async def test_a_tenant_that_is_renamed(store: TinyDBBackend, disk: GatedDisk) -> None:
    """The fold follows under the new name."""
    await store.commit("north", ERASED)
    await store.rename("north", "east")
    await cleaned(disk, HOME / "east")


async def test_an_erase_that_was_refused(store: TinyDBBackend, disk: GatedDisk) -> None:
    """Its mark goes, although there is nothing to fold."""
    refused = Unit(now=NOW, expect=(DocumentAt("notes", "absent", 3),), deletes=ERASED.deletes, changes=ERASED.changes)
    assert isinstance(await store.commit("north", refused), Conflict)
    assert MARK in disk.names(NORTH)
    for _ in range(1000):
        if MARK not in disk.names(NORTH):
            return
        await asyncio.sleep(0.02)
    pytest.fail("the mark is still there")

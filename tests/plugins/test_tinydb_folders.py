"""The folders of tenants: one that cannot be used does not affect the others, and names follow the disk."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from threading import Event

import pytest

from crm_core.errors import SetupError
from crm_core.plugin.storage import Committed, StorageContext
from crm_core.testing.disk import FakeDisk
from crm_tinydb.disk import RealDisk, gone
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import filled, opened, unit
from tinydb_world import HOME, SCRATCH


async def test_a_leftover_that_cannot_be_removed(tmp_path: Path, stores: list[TinyDBBackend]) -> None:
    """The store opens with all tenants, and the leftover's name can be used once it is gone."""
    store = TinyDBBackend()
    stores.append(store)
    await store.open(StorageContext(tmp_path))
    await store.create("north")
    await store.close()
    inner = tmp_path / ".new-east" / "a folder"
    inner.mkdir(parents=True)
    await store.open(StorageContext(tmp_path))
    assert isinstance(await store.commit("north", unit(1)), Committed)
    with pytest.raises(SetupError, match="east cannot be created"):
        await store.create("east")
    inner.rmdir()
    await store.create("east")


class BadDisk(FakeDisk):
    """A disk that cannot read one tenant's folder."""

    def exists(self, path: Path) -> bool:
        if path.parent == HOME / "south":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().exists(path)


async def test_a_folder_that_cannot_be_read_at_start(stores: list[TinyDBBackend]) -> None:
    """Only its tenant is in trouble."""
    disk = FakeDisk()
    await (await filled(disk, stores)).close()
    bad = BadDisk()
    bad._root = disk._root
    store = await opened(bad, stores)
    assert list(await store.troubled()) == ["south"]
    assert isinstance(await store.commit("north", unit(4)), Committed)


async def test_a_restore_without_space_leaves_no_file(stores: list[TinyDBBackend]) -> None:
    """The files of a tenant that could not be completed are removed without a restart."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    await store.backup("north", SCRATCH / "copy")
    for number in range(30):
        disk.fail_at = len(disk.calls) + number + 1, errno.ENOSPC
        try:
            await store.restore("east", SCRATCH / "copy")
        except SetupError:
            assert [name for name in disk.names(HOME) if name.startswith(".")] == []
        else:
            break
        finally:
            disk.fail_at = None
        if await store.has("east"):
            await store.remove("east")
    assert number > 10


@pytest.mark.parametrize("act", ["create", "rename"])
async def test_a_folder_that_moved_although_its_sync_failed(act: str, stores: list[TinyDBBackend]) -> None:
    """The error is reported, and the tenant is served under the name that its folder has."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    real = disk.sync_folder

    def failing(path: Path) -> None:
        if path == HOME:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(path)

    disk.sync_folder = failing  # type: ignore[method-assign]
    with pytest.raises(SetupError, match="Input/output error"):
        await (store.create("east") if act == "create" else store.rename("north", "east"))
    disk.sync_folder = real  # type: ignore[method-assign]
    names = ["east", "north", "south"] if act == "create" else ["east", "south"]
    assert (await store.tenants(), [name for name in disk.names(HOME) if name[0] != "."]) == (names, names)
    seq = 0 if act == "create" else 3
    assert (await store.view("east", None)).seq == seq
    assert isinstance(await store.commit("east", unit(seq + 1)), Committed)
    assert await store.troubled() == {}


async def test_the_tenants_folder_of_a_new_instance_survives_a_power_cut(stores: list[TinyDBBackend]) -> None:
    """The first tenants are durable although the folder that contains them is as new as they are."""
    disk = FakeDisk()
    store = await opened(disk, stores)
    await store.create("north")
    await store.commit("north", unit(1))
    after = await opened(disk.power_cut(), stores)
    assert await after.tenants() == ["north"]
    assert (await after.view("north", None)).seq == 1


def test_a_path_that_cannot_be_looked_at_is_not_gone(tmp_path: Path) -> None:
    """The real disk raises if the system cannot say whether there is a file, and says so if there is none."""
    disk = RealDisk()
    too_long = tmp_path / ("x" * 300)
    with pytest.raises(OSError, match="too long"):
        disk.exists(too_long)
    assert not gone(disk, too_long)
    (tmp_path / "file").touch()
    assert [disk.exists(tmp_path / name) for name in ("file", "none", "file/below", "none/below")] == [
        True, False, False, False,
    ]  # fmt: skip


class GatedDisk(FakeDisk):
    """A disk on which the first journal of a tenant is begun at a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.waiting = Event(), Event()
        self.gate.set()

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, durable: bool = False) -> int:
        if path.name == "journal-00000001.log.new":
            self.waiting.set()
            assert self.gate.wait(10)
        return super().open(path, create=create, exclusive=exclusive, durable=durable)


async def test_a_tenant_is_not_removed_while_it_is_restored(stores: list[TinyDBBackend]) -> None:
    """The removal of a tenant whose folder is gone is refused, and leaves the files of its restore."""
    disk = GatedDisk()
    store = await filled(disk, stores, folds=1)
    await store.backup("north", SCRATCH / "copy")
    disk.replace(HOME / "north", SCRATCH / "away")
    disk.gate.clear()
    disk.waiting.clear()
    restoring = asyncio.create_task(store.restore("north", SCRATCH / "copy"))
    await asyncio.to_thread(disk.waiting.wait, 10)
    removing = asyncio.create_task(store.remove("north"))
    await asyncio.sleep(0.1)
    disk.gate.set()
    with pytest.raises(SetupError, match="is being created"):
        await removing
    await restoring
    assert ((await store.state("north")).mode, (await store.view("north", None)).seq) == ("ok", 6)

"""Backups of crm_tinydb: complete or absent, and never in the place of another file."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_core.errors import SetupError
from crm_core.plugin.storage import StorageContext, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import put
from crm_tinydb.disk import RealDisk, write_new
from crm_tinydb.storage import TinyDBBackend
from tinydb_world import SCRATCH, open_store, with_folders

TENANTS = [f"tenant-{number}" for number in range(15)]


async def test_of_backups_to_one_target_one_is_complete_and_the_others_are_refused(tmp_path: Path) -> None:
    """Fifteen tenants are backed up to one name at the same time: the file is the backup of the one that succeeded."""
    backend = TinyDBBackend()
    await backend.open(StorageContext(tmp_path / "tenants"))
    try:
        for name in TENANTS:
            await backend.create(name)
            await backend.commit(name, Unit(now=1, puts=tuple(put(f"{name}-{number}") for number in range(50))))
        target = tmp_path / "one.backup"
        outcomes = await asyncio.gather(*(backend.backup(name, target) for name in TENANTS), return_exceptions=True)
        done = [name for name, outcome in zip(TENANTS, outcomes, strict=True) if outcome is None]
        assert len(done) == 1
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [SetupError] * 14
        await backend.restore("restored", target)
        assert (await backend.get("restored", "notes", f"{done[0]}-0")).document is not None
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one.backup", "tenants"]
    finally:
        await backend.close()


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_a_file_that_appears_while_another_is_written_stays(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writing is refused at its end, and leaves nothing behind."""
    disk, target = disk_with(links=links, monkeypatch=monkeypatch), tmp_path / "a.backup"

    def chunks() -> Iterator[bytes]:
        yield b"one"
        target.write_bytes(b"another")
        yield b"two"

    with pytest.raises(FileExistsError):
        write_new(disk, target, chunks())
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.backup", b"another")]


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_a_file_of_an_interrupted_writer_is_not_touched(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next free temporary name is used; the result has the mode 0600."""
    disk, target = disk_with(links=links, monkeypatch=monkeypatch), tmp_path / "a.backup"
    (tmp_path / "a.backup.new-1").write_bytes(b"of a crash")
    write_new(disk, target, [b"whole"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.backup": b"whole",
        "a.backup.new-1": b"of a crash",
    }
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_power_cut_leaves_a_complete_file_or_none() -> None:
    """After a stop at any call and a power cut, the name is free or has all bytes."""
    for calls in range(20):
        disk, target = FakeDisk(), Path("/out/a.backup")
        disk.make_folder(target.parent)
        disk.sync_folder(Path("/"))
        before = len(disk.calls)
        disk.stop_at = before + calls
        try:
            write_new(disk, target, [b"one", b"two"])
        except OSError:
            after = disk.power_cut("half")
            assert not after.exists(target) or after.read(target) == b"onetwo"
        else:
            assert disk.power_cut().read(target) == b"onetwo"
            return
    pytest.fail("the file was never written")


def disk_with(*, links: bool, monkeypatch: pytest.MonkeyPatch) -> RealDisk:
    """A real disk, whose file system may lack hard links."""

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if links:
        return RealDisk()
    monkeypatch.setattr(os, "link", refuse)
    return SimpleDisk()


class SimpleDisk(RealDisk):
    """A disk whose file system has no unnamed files."""

    def open_unnamed(self, folder: Path) -> None:
        return None


async def test_a_backup_in_a_new_folder_survives_a_power_cut() -> None:
    """A tenant may be removed after its backup: the folder that was made for the file is as durable as the file."""
    disk = with_folders(FakeDisk())
    store = await open_store(disk)
    await store.create("north")
    disk.make_folder(SCRATCH / "backups")
    await store.backup("north", SCRATCH / "backups" / "north.backup")
    await store.remove("north")
    after = await open_store(disk.power_cut())
    assert await after.tenants() == []
    await after.restore("north", SCRATCH / "backups" / "north.backup")
    await after.close()
    await store.close()

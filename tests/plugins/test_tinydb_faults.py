from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from crm_core.errors import SetupError, StorageUnavailable
from crm_core.plugin.storage import Committed
from crm_core.testing.disk import FakeDisk
from faults.actions import ACTIONS, PREPARED, attempt, faults, leftovers, prepare, resume
from tinydb_story import unit
from tinydb_world import HOME, SCRATCH, open_store, with_folders


class BlindDisk(FakeDisk):
    """A disk that, once blind, cannot say whether a file exists."""

    blind = False

    def exists(self, path: Path) -> bool:
        if self.blind:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().exists(path)


async def test_a_disk_that_cannot_say_what_exists_is_reported() -> None:
    """Creating, renaming, backing up and opening say so, lists name the tenant, and one that is open stays usable."""
    disk = with_folders(BlindDisk())
    store = await open_store(disk, options={"max_open": 1})
    for name in ("north", "south"):
        await store.create(name)
    await store.view("south", None)
    disk.blind = True
    for work in (store.create("east"), store.rename("north", "east"), store.backup("south", SCRATCH / "copy")):
        with pytest.raises(SetupError, match="Input/output error"):
            await work
    with pytest.raises(StorageUnavailable) as refused:
        await store.view("north", None)
    assert "Input/output error" in refused.value.operator_detail
    assert "Input/output error" in (await store.troubled())["north"].reason
    assert isinstance(await store.commit("south", unit(1)), Committed)
    disk.blind = False
    assert (await store.view("north", None)).seq == 0
    assert await store.troubled() == {}
    await store.close()


async def prepared() -> FakeDisk:
    """A disk with the tenants and the backup that the actions start from."""
    disk = with_folders(FakeDisk())
    store = await open_store(disk, log_max_unverified=50)
    await prepare(store, SCRATCH)
    await store.close()
    return disk


async def failed(disk: FakeDisk, name: str, call: int, code: int) -> tuple[list[str], bool]:
    """Make one call of an action fail; return the faults, and whether there was such a call."""
    store = await open_store(disk, log_max_unverified=50)
    await store.view("north", None)
    await store.view("south", None)
    first = len(disk.calls)
    disk.fail_at = first + call, code
    outcome = await attempt(store, name, SCRATCH)
    reached = len(disk.calls) >= first + call
    seq = PREPARED + (name == "commit" and outcome == "done")
    seq = await resume(store, seq)
    after = disk.power_cut()
    await store.close()
    store = await open_store(after, log_max_unverified=50)
    found = await faults(store, name, outcome, seqs=(seq,), scratch=SCRATCH)
    await store.close()
    folders = {each: after.names(HOME / each) for each in after.names(HOME)}
    return found + leftovers(folders, after.names(SCRATCH)), reached


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("name", ACTIONS)
async def test_any_one_call_fails(name: str, code: int) -> None:
    """Nothing answered is lost, nothing is half done, writes resume, and no file is left behind."""
    start = await prepared()
    found = {}
    for call in range(1, 80):
        disk = start.power_cut("all")
        faults, reached = await failed(disk, name, call, code)
        if not reached:
            break
        if faults:
            found[disk.calls[disk.fail_at[0] - 1]] = faults  # type: ignore[index]
    assert found == {}, os.strerror(code)
    assert call > 3

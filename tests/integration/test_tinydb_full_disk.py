from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crm_core.errors import SetupError, StorageFull, StorageUnavailable
from crm_core.plugin.storage import Claim, Committed, EntryQuery, StorageContext, Unit
from crm_core.testing.storage import entry, put
from crm_tinydb.storage import TinyDBBackend

SIZE = 1 << 20
FILLER = "x" * 2000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB with a ballast file to free space."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("NOT TESTED: a disk that fills up needs root to mount a small tmpfs: run the tests as root")
    (place / "ballast").write_bytes(bytes(SIZE // 4))
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.fixture
async def store(small: Path) -> AsyncIterator[TinyDBBackend]:
    store = TinyDBBackend()
    await store.open(StorageContext(small / "tenants"))
    await store.create("north")
    yield store
    await store.close()


def unit(number: int) -> Unit:
    return Unit(
        now=1,
        claims=(Claim("nonce", f"n{number}", b"{}"),),
        puts=(put(f"d{number}", {"n": number, "filler": FILLER}, {"n": number}),),
        entries=(entry(number),),
        revises=True,
    )


async def filled(store: TinyDBBackend) -> int:
    """Write until the disk is full; return the number of answered units."""
    for number in range(1, SIZE // len(FILLER)):
        try:
            await store.commit("north", unit(number))
        except StorageFull:
            return number - 1
    pytest.fail("the disk never became full")


async def whole(store: TinyDBBackend, units: int) -> None:
    """Check that every answered unit is stored with all its parts, and nothing else."""
    view = await store.view("north", None)
    assert (view.seq, view.revision, view.head.seq) == (units, units, units)
    assert await store.count("north", "notes") == units
    for number in range(1, units + 1):
        assert (await store.get("north", "notes", f"d{number}")).document is not None
        assert await store.claim("north", "nonce", f"n{number}") is not None
    assert await store.claim("north", "nonce", f"n{units + 1}") is None
    assert (await store.verify("north")).problems == ()
    assert len(await store.entries("north", EntryQuery(limit=1000))) == units


async def test_full_disk(store: TinyDBBackend, small: Path) -> None:
    """On a full disk writes fail and store nothing while reads work; with space again writes resume."""
    units = await filled(store)
    assert units > 50
    state = await store.state("north")
    assert (state.mode, "free some space; writes then resume automatically" in state.reason) == ("read_only", True)
    for _ in range(3):
        with pytest.raises((StorageFull, StorageUnavailable)):
            await store.commit("north", unit(units + 1))
    await whole(store, units)
    (small / "ballast").unlink()
    assert isinstance(await store.commit("north", unit(units + 1)), Committed)
    assert (await store.state("north")).mode == "ok"
    await whole(store, units + 1)
    await store.close()
    await store.open(StorageContext(small / "tenants"))
    await whole(store, units + 1)


async def test_full_disk_at_restart(store: TinyDBBackend, small: Path) -> None:
    """A store opened on a full disk has every answered unit."""
    units = await filled(store)
    assert units > 50
    await store.close()
    again = TinyDBBackend()
    await again.open(StorageContext(small / "tenants"))
    await whole(again, units)
    with pytest.raises((StorageFull, StorageUnavailable)):  # the disk is full still
        await again.commit("north", unit(units + 1))
    await again.close()
    await store.open(StorageContext(small / "tenants"))


async def test_fold_and_backup_without_space(store: TinyDBBackend, small: Path, tmp_path: Path) -> None:
    """A fold and a backup fail on a full disk and leave no file; with space both succeed."""
    units = await filled(store)
    (small / "ballast").unlink()
    ballast = small / "ballast-2"
    ballast.write_bytes(bytes(SIZE // 8))
    for _ in range(20):  # until the tenant takes writes again there is nothing to fold
        await asyncio.sleep(0.1)
        if (await store.state("north")).mode == "ok":
            break
    with pytest.raises(StorageFull):
        await store.fold("north")
    with pytest.raises(SetupError):
        await store.backup("north", small / "copy")
    assert not list(small.glob("**/*.new"))
    await whole(store, units)
    ballast.unlink()
    await store.backup("north", tmp_path / "copy")
    await whole(store, units)
    assert await store.check("north") == ()


async def test_no_space_for_a_tenant(store: TinyDBBackend, small: Path) -> None:
    """A tenant that finds no space is refused, unknown, and can be made once there is space."""
    await filled(store)
    rest = os.open(small / "rest", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(rest, bytes(512))
    os.close(rest)
    with pytest.raises(SetupError):
        await store.create("south")
    assert not await store.has("south")
    (small / "ballast").unlink()
    await store.create("south")
    assert isinstance(await store.commit("south", unit(1)), Committed)

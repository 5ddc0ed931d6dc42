"""The previous generation as the last resort: what it lists stays, and damage in it can be accepted like other."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import pytest

from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import Committed, EntryQuery
from crm_core.testing.disk import FakeDisk
from crm_tinydb.opening import MARKER
from crm_tinydb.segments import PREVIOUS
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import consistent_state, filled, opened, unit
from tinydb_world import FILES, HOME, FullDisk

NORTH = HOME / "north"
BEFORE = NORTH / PREVIOUS


def cut(data: bytes) -> bytes:
    return data[:20]


@pytest.mark.parametrize("kind", ["segment", "change segment", "journal"])
async def test_damage_in_both_generations_can_be_accepted(kind: str, stores: list[TinyDBBackend]) -> None:
    """Without the marker the tenant opens, accepts writes and folds, and is not quarantined for the same again."""
    disk = FakeDisk()
    await (await filled(disk, stores, folds=2)).close()
    newest = max(name for name in disk.names(NORTH) if re.fullmatch(FILES["store"], name))
    other = next(name for name in disk.names(BEFORE) if re.fullmatch(FILES[kind], name))
    disk.edit(NORTH / newest, cut)
    disk.edit(BEFORE / other, cut)
    store = await opened(disk, stores)
    assert (await store.state("north")).mode == "quarantined"
    await store.close()
    for number in range(3):
        if number == 0:
            disk.remove(NORTH / MARKER)
        store = await opened(disk, stores)
        state = await store.state("north")
        assert (state.mode, state.reason) == ("ok", "")
        seq = (await store.view("north", None)).seq
        assert isinstance(await store.commit("north", unit(seq + 1)), Committed)
        if number:
            await store.fold("north")
        await store.close()


async def test_the_fold_after_a_damaged_one_keeps_the_generation_before_whole(stores: list[TinyDBBackend]) -> None:
    """If the newest folded file is damaged a second time, the one before it still has all that it lists."""
    disk = FakeDisk()
    await (await filled(disk, stores, folds=2)).close()
    for number in range(2):
        newest = max(name for name in disk.names(NORTH) if re.fullmatch(FILES["store"], name))
        disk.edit(NORTH / newest, cut)
        store = await opened(disk, stores)
        assert (await store.state("north")).reason.count("checksum") == 1
        assert (await consistent_state(store))[0] == 9 + number
        disk.remove(NORTH / MARKER)
        assert isinstance(await store.commit("north", unit(10 + number)), Committed)
        await store.fold("north")
        await store.close()


async def test_damage_that_is_found_on_a_full_disk(stores: list[TinyDBBackend]) -> None:
    """The units before the damage are shown at each opening, and are there when the damage was accepted."""
    disk = FullDisk("journal-")
    await (await filled(disk, stores, units=8)).close()
    damaged = disk.read(NORTH / "journal-00000001.log")
    lines = damaged.splitlines(keepends=True)
    disk.edit(NORTH / "journal-00000001.log", lambda _: b"".join([*lines[:6], b"0", lines[6][1:], *lines[7:]]))
    damaged = disk.read(NORTH / "journal-00000001.log")
    for disk.full in (True, True, False, False):
        store = await opened(disk, stores)
        assert ((await store.state("north")).mode, (await store.view("north", None)).seq) == ("quarantined", 5)
        await store.close()
        aside = [name for name in disk.names(NORTH) if ".damaged-" in name]
        assert len(aside) == (not disk.full)
        assert all(disk.read(NORTH / name) == damaged for name in aside)
    disk.remove(NORTH / MARKER)
    store = await opened(disk, stores)
    assert ((await store.state("north")).mode, (await consistent_state(store))[0]) == ("ok", 5)


@pytest.mark.parametrize("found_by", ["log", "changes", "fold"])
async def test_damage_that_a_reader_finds_is_accepted_once(found_by: str, stores: list[TinyDBBackend]) -> None:
    """The file is moved aside as at an opening, so that the tenant is not quarantined for it a second time."""
    disk = FakeDisk()
    store = await filled(disk, stores, folds=1)
    kind = "change segment" if found_by == "changes" else "segment"
    name = next(name for name in disk.names(NORTH) if re.fullmatch(FILES[kind], name))
    disk.edit(NORTH / name, lambda data: data[:-9] + b"x" + data[-8:])
    if found_by == "log":
        assert len(await store.entries("north", EntryQuery())) == 3
    elif found_by == "changes":
        with pytest.raises(StorageUnavailable):
            await store.changes("north", 0)
    else:
        await store.fold("north")
    await asyncio.sleep(0.1)
    for _ in range(2):  # the second time it is missing
        await store.entries("north", EntryQuery())
        await store.fold("north")
    state = await store.state("north")
    assert (state.mode, state.reason.count(name)) == ("quarantined", 1)
    assert [each for each in disk.names(NORTH) if ".damaged-" in each] == [f"{name}.damaged-1"]
    disk.remove(NORTH / MARKER)
    assert (await store.state("north")).mode == "ok"
    await store.entries("north", EntryQuery())
    with suppress(StorageUnavailable):
        await store.changes("north", 0)
    assert isinstance(await store.commit("north", unit(20)), Committed)
    await store.fold("north")
    assert (await store.state("north")).mode == "ok"

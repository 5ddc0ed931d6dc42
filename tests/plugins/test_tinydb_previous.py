"""The previous generation as the last resort: what it lists stays, and damage in it can be accepted like other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from crm_core.plugin.storage import Committed
from crm_core.testing.disk import FakeDisk
from crm_tinydb.opening import MARKER
from crm_tinydb.segments import PREVIOUS
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import consistent_state, filled, opened, unit
from tinydb_world import FILES, HOME

NORTH = HOME / "north"
BEFORE = NORTH / PREVIOUS


@pytest.fixture
async def stores() -> AsyncIterator[list[TinyDBBackend]]:
    opened_stores: list[TinyDBBackend] = []
    yield opened_stores
    for store in opened_stores:
        await store.close()


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

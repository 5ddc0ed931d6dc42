"""Renaming, removing and erasing while one call of the disk fails: what is reported is what the disk has."""

from __future__ import annotations

import errno
import os

import pytest

from crm_core.errors import SetupError, StorageFull, StorageUnavailable
from crm_core.plugin.storage import Committed, Delete, EntryQuery, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage_changes import change
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import NOW, filled, opened, unit
from tinydb_world import HOME

QUERY = EntryQuery(limit=1)
REFUSALS = (SetupError, StorageFull, StorageUnavailable)


async def act(store: TinyDBBackend, name: str) -> None:
    if name == "rename":
        await store.rename("north", "east")
    elif name == "remove":
        await store.remove("north")
    elif (await store.get("north", "notes", "d4")).document is None:
        await store.fold("north")
    else:
        erased = change("d4", 2, change="erased", external_id=None, changes=())
        unit_ = Unit(now=NOW, deletes=(Delete("notes", "d4"),), changes=(erased,))
        assert isinstance(await store.commit("north", unit_), Committed)
        await store.fold("north")


def contents(disk: FakeDisk) -> bytes:
    found = b""
    for name in disk.names(HOME / "north"):
        folder = HOME / "north" / name
        inner = [folder / each for each in disk.names(folder)] if name == "previous" else [folder]
        found += b"".join(disk.read(path) for path in inner)
    return found


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("name", ["rename", "remove", "erase"])
async def test_any_one_call_of_a_move_fails(name: str, code: int, stores: list[TinyDBBackend]) -> None:
    """The store serves the tenants that there are, immediately and after a power cut, and a second attempt succeeds."""
    for call in range(1, 60):
        disk = FakeDisk()
        store = await filled(disk, stores, folds=1)
        store.note("north", (await store.entries("north", QUERY))[0])
        disk.fail_at = len(disk.calls) + call, code
        refused = False
        try:
            await act(store, name)
        except REFUSALS:
            refused = True
        (at, _), disk.fail_at = disk.fail_at, None
        reached = len(disk.calls) >= at
        where = f"{disk.calls[at - 1] if reached else 'nothing'}, {os.strerror(code)}"
        folders = [each for each in disk.names(HOME) if not each.startswith(".")]
        assert await store.tenants() == folders, where
        for tenant in folders:
            number = 20 + (await store.view(tenant, None)).seq
            assert isinstance(await store.commit(tenant, unit(number)), Committed), where
        if refused and "north" in folders:
            await act(store, name)
        elif name == "erase":
            await store.fold("north")
        if name == "erase":
            assert b"own-d4" not in contents(disk), where
        after = await opened(disk.power_cut("all"), stores)
        assert await after.tenants() == await store.tenants(), where
        for tenant in await after.tenants():
            assert ((await after.state(tenant)).mode, await after.check(tenant)) == ("ok", ()), where
        if not reached:
            assert call > 3
            return
    pytest.fail("the action must finish within 60 disk calls")

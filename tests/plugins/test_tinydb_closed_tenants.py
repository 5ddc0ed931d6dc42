"""The cost of asking after tenants that are not open."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from crm_core.commands.tenant import names
from crm_core.plugin.storage import StorageContext
from crm_core.services import Services
from crm_tinydb.closed_tenants import LOOKED_AT
from crm_tinydb.disk import RealDisk
from crm_tinydb.opening import MARKER
from crm_tinydb.storage import TinyDBBackend


class CountingDisk(RealDisk):
    """The real disk, counting the files that are asked after."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def exists(self, path: Path) -> bool:
        self.asked += 1
        return super().exists(path)


def folders(tenants_dir: Path, count: int) -> None:
    """Make folders of tenants that were never used."""
    for number in range(count):
        (tenants_dir / f"t{number}").mkdir(parents=True)


async def test_asking_for_troubled_tenants_costs_the_same_with_many(tmp_path: Path) -> None:
    """The files looked at by one call are bounded, and a new marker on any closed tenant is found in turn."""
    count = LOOKED_AT * 5
    folders(tmp_path, count)
    disk = CountingDisk()
    store = TinyDBBackend(disk)
    await store.open(StorageContext(tmp_path))
    (tmp_path / "t7" / MARKER).touch()
    found: Any = {}
    for _ in range(5):
        disk.asked = 0
        found = await store.troubled()
        assert disk.asked <= 4 * LOOKED_AT
    assert list(found) == ["t7"]
    (tmp_path / "t7" / MARKER).unlink()
    assert await store.troubled() == {}  # a tenant in trouble is looked at by each call
    await store.close()


async def test_a_marker_is_known_at_start_however_many_tenants(tmp_path: Path) -> None:
    """The first answer after a start names a quarantined tenant among many."""
    folders(tmp_path, LOOKED_AT * 5)
    (tmp_path / "t250" / MARKER).touch()
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path))
    assert (await store.troubled())["t250"].mode == "quarantined"
    assert await store.count_tenants() == LOOKED_AT * 5
    await store.close()


async def test_listing_tenants_opens_none_and_closes_none(tmp_path: Path) -> None:
    """The list names every tenant, and the one that is open stays so at a limit of one."""
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path, {"max_open": 1}))
    for name in ("east", "north", "west"):
        await store.create(name)
    await store.count("north", "notes")
    hot = store.open_tenants.find_open("north")
    listed = await names(cast("Services", SimpleNamespace(backend=store)))
    assert [(one["tenant"], one["mode"]) for one in listed["tenants"]] == [
        ("east", "ok"), ("north", "ok"), ("west", "ok"),
    ]  # fmt: skip
    assert hot is not None
    assert store.open_tenants.find_open("north") is hot
    await store.close()

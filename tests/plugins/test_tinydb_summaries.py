from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import Document, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import entry, put
from crm_tinydb.opening import MARKER
from crm_tinydb.storage import TinyDBBackend
from crm_tinydb.summaries import NAME
from tinydb_world import HOME, open_store, with_folders

FOLDER = HOME / "north"


class WatchedDisk(FakeDisk):
    """A disk that lists the files that were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_files: list[str] = []

    def read(self, path: Path) -> bytes:
        self.read_files.append(path.name)
        return super().read(path)


def digest(sections: tuple[Document, ...]) -> bytes:
    return b",".join(document.id.encode() for document in sections)


async def closed(disk: FakeDisk) -> None:
    """Open a store, commit to the tenant north and close the store."""
    store = await open_store(disk, digest=digest)
    await store.create("north")
    unit = Unit(now=1, puts=(put("branding", collection="sections"),), entries=(entry(1),), revises=True)
    await store.commit("north", unit)
    await store.close()


@pytest.fixture
async def disk() -> WatchedDisk:
    """A disk with the closed tenant north."""
    disk = with_folders(WatchedDisk())
    await closed(disk)
    return disk


@pytest.fixture
async def store(disk: FakeDisk) -> AsyncIterator[TinyDBBackend]:
    store = await open_store(disk, digest=digest)
    yield store
    await store.close()


async def test_a_closed_tenant_is_summarized_from_one_small_file(disk: WatchedDisk, store: TinyDBBackend) -> None:
    """Neither journal nor folded file is read, and the tenant stays closed."""
    disk.read_files.clear()
    found = await store.summary("north")
    assert disk.read_files == [NAME]
    assert (found.revision, found.sections) == (1, b"branding")
    assert store.open_tenants.find_open("north") is None


async def test_the_summary_of_an_earlier_state_is_not_used(disk: FakeDisk) -> None:
    """After a crash the tenant is opened: what was committed since is in its summary."""
    store = await open_store(disk, digest=digest)
    await store.commit("north", Unit(now=1, entries=(entry(5),), revises=True))
    crashed = disk.power_cut("all")
    await store.close()
    after = await open_store(crashed, digest=digest)
    assert (await after.summary("north")).revision == 2
    await after.close()


async def test_a_fold_that_changed_no_content_ends_a_summary(disk: FakeDisk) -> None:
    """The summary of an earlier journal is not used, even if the later one has its length."""
    earlier = disk.read(FOLDER / NAME)
    store = await open_store(disk, digest=digest)
    await store.fold("north")
    await store.close()
    assert disk.read(FOLDER / NAME) != earlier
    disk.edit(FOLDER / NAME, lambda _: earlier)
    store = await open_store(disk, digest=digest)
    assert await store.open_tenants.stored_summary("north") is None
    await store.close()


async def test_a_tenant_without_a_summary_is_opened_and_closed_again(disk: FakeDisk, store: TinyDBBackend) -> None:
    """Its summary is there from then on, and a tenant in use stays open at a limit of one."""
    disk.remove(FOLDER / NAME)
    assert (await store.summary("north")).revision == 1
    assert store.open_tenants.find_open("north") is None
    await store.close()
    assert disk.exists(FOLDER / NAME)


async def test_a_marker_ends_a_summary(disk: FakeDisk, store: TinyDBBackend) -> None:
    """A tenant in quarantine is opened, and its state says why."""
    handle = disk.open(FOLDER / MARKER, create=True)
    disk.write(handle, b"damage\nhow to continue\n")
    disk.close(handle)
    assert (await store.summary("north")).state.mode == "quarantined"


async def test_a_tenant_that_cannot_be_read_has_no_summary(disk: FakeDisk, store: TinyDBBackend) -> None:
    """A folder that is gone is reported, although the tenant was summarized when it was closed."""
    for name in disk.names(FOLDER):
        disk.remove(FOLDER / name)
    disk.remove_folder(FOLDER)
    with pytest.raises(StorageUnavailable) as refused:
        await store.summary("north")
    assert "folder is gone" in refused.value.operator_detail


async def test_a_summary_that_cannot_be_written_is_left_out(disk: FakeDisk) -> None:
    """A full disk at the end costs nothing but the summary."""
    store = await open_store(disk, digest=digest)
    await store.commit("north", Unit(now=1, entries=(entry(5),), revises=True))
    disk.fail("write", 28)
    await store.close()
    assert not disk.exists(FOLDER / NAME)
    after = await open_store(disk, digest=digest)
    assert (await after.summary("north")).revision == 2
    await after.close()


async def test_attempts_since_the_summary_are_in_the_next_one() -> None:
    """After a kill the summary from before attempts that are on disk is not used."""
    disk = with_folders(FakeDisk())
    await closed(disk)
    store = await open_store(disk, digest=digest)
    await store.view("north", None)
    store.note("north", entry(2, signature_result="invalid", error_code="signature_invalid"))
    async with asyncio.timeout(20):
        while store.open_tenants._flusher is not None:  # noqa: ASYNC110 -- until it is written
            await asyncio.sleep(0.01)
    after = await open_store(disk.power_cut("all"), digest=digest)
    assert [each.id for each in (await after.summary("north")).unverified] == [entry(2).id]
    await after.close()
    await store.close()

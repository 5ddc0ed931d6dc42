"""Nothing that reading needs may have to write, and a tenant that cannot be read is reported."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.storage import Committed, EntryQuery, StorageContext, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import entry, put
from crm_tinydb.storage import TinyDBBackend

HOME = Path("/fake/tenants")
TORN = b'00000000 {"s'


def unit(number: int) -> Unit:
    return Unit(now=1_800_000_000, puts=(put("d", {"n": number}, {"name": "x"}),), entries=(entry(number),))


async def opened(disk: FakeDisk) -> TinyDBBackend:
    store = TinyDBBackend(disk)
    await store.open(StorageContext(HOME))
    return store


@pytest.fixture
async def disk() -> AsyncIterator[FakeDisk]:
    """A disk with a tenant that has one commit and one unverified attempt."""
    disk = FakeDisk()
    disk.make_folder(HOME)
    store = await opened(disk)
    await store.create("north")
    assert isinstance(await store.commit("north", unit(1)), Committed)
    store.note("north", entry(7))
    await store.close()
    yield disk
    disk.heal()


@pytest.mark.parametrize("name", ["journal-00000001.log", "unverified.log"])
async def test_a_torn_tail_on_a_full_disk_does_not_prevent_reads(disk: FakeDisk, name: str) -> None:
    """Durable entries are read; the next write that succeeds removes the tail for good."""
    path = HOME / "north" / name
    durable = disk.read(path)
    disk.edit(path, lambda data: data + TORN)
    disk.fail("write", errno.ENOSPC, 1000)
    store = await opened(disk)
    assert (await store.view("north", None)).seq == 1
    assert len(await store.entries("north", EntryQuery(limit=9))) == 2
    assert disk.read(path) == durable + TORN
    disk.heal()
    assert isinstance(await store.commit("north", unit(2)), Committed)
    store.note("north", entry(8))
    await store.close()
    assert TORN not in disk.read(path)
    assert disk.read(path).startswith(durable)
    again = await opened(disk)
    assert (await again.view("north", None)).seq == 2
    assert await again.check("north") == ()
    await again.close()


async def test_a_tenant_that_cannot_be_read_is_reported(disk: FakeDisk) -> None:
    """After a failed opening the tenant is among the troubled ones, until an opening succeeds."""
    store = await opened(disk)
    disk.fail("read", errno.EIO, 1000)
    with pytest.raises(StorageUnavailable):
        await store.view("north", None)
    disk.heal()
    assert (await store.troubled())["north"].mode == "read_only"
    await store.view("north", None)
    assert await store.troubled() == {}
    await store.close()


async def test_a_journal_that_cannot_be_begun_again_does_not_prevent_reads(disk: FakeDisk) -> None:
    """After the admin accepted the loss of a damaged journal, a full disk delays the next one, not the reads."""
    folder = HOME / "north"
    disk.edit(folder / "journal-00000001.log", lambda data: b"00000000" + data[8:])
    store = await opened(disk)
    assert (await store.state("north")).mode == "quarantined"
    await store.close()
    disk.remove(folder / "quarantine")
    disk.fail("write", errno.ENOSPC, 1000)
    store = await opened(disk)
    assert (await store.view("north", None)).seq == 0
    assert (await store.state("north")).mode == "read_only"
    with pytest.raises(StorageFull):
        await store.commit("north", unit(1))
    disk.heal()
    assert isinstance(await store.commit("north", unit(1)), Committed)
    await store.close()
    store = await opened(disk)
    assert (await store.view("north", None)).seq == 1
    await store.close()

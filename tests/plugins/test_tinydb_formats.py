"""Stores that a newer version has written to are refused untouched."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from zlib import crc32

import pytest

from crm_core.errors import SetupError, StorageUnavailable
from crm_core.plugin.storage import Committed, EntryQuery, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import entry, put
from crm_core.testing.storage_changes import change
from crm_tinydb.storage import TinyDBBackend
from tinydb_world import FILES, HOME, open_store, with_folders

NORTH = HOME / "north"


def unit(number: int) -> Unit:
    changed = (change("one", number),)
    puts = (put("one", {"n": number}),)
    return Unit(now=1_800_000_000, puts=puts, entries=(entry(number),), changes=changed, revises=True)


def newer(data: bytes) -> bytes:
    """The same file with format 2; the checksum of a folded file does not fit, as format 2 may have another."""
    if b'"_store"' in data:
        return data.replace(b'"format":1', b'"format":2', 1)
    if data.startswith(b"crm"):
        return data.replace(b"format 1", b"format 2")
    line, _, rest = data.partition(b"\n")
    text = line[9:].replace(b'"format":1', b'"format":2')
    return b"%08x %b\n" % (crc32(text), text) + rest


def content(disk: FakeDisk, folder: Path = NORTH) -> dict[str, bytes]:
    """Every file of the tenant, including the previous generation."""
    return {
        path.name: disk.read(path)
        for place in (folder, folder / "previous")
        for path in (place / name for name in disk.names(place))
        if path.name != "previous"
    }


@pytest.fixture
async def disk() -> FakeDisk:
    """Two tenants with files of all kinds."""
    disk = with_folders(FakeDisk())
    store = await open_store(disk, log_max_unverified=50)
    for tenant in ("north", "south"):
        await store.create(tenant)
        for number in (1, 2):
            await store.commit(tenant, unit(number))
            await store.fold(tenant)
        store.note(tenant, entry(90, signature_result="invalid"))
        await store.commit(tenant, unit(3))
    await store.close()
    return disk


@pytest.fixture
async def store(disk: FakeDisk) -> AsyncIterator[TinyDBBackend]:
    """A store with those tenants that has opened neither."""
    store = await open_store(disk, log_max_unverified=50)
    yield store
    await store.close()


def upgrade(disk: FakeDisk, kind: str, place: Path = NORTH) -> str:
    """Make one file format 2; return its name."""
    name = next(name for name in disk.names(place) if re.fullmatch(FILES[kind], name))
    disk.edit(place / name, newer)
    return name


@pytest.mark.parametrize("kind", FILES)
async def test_one_newer_file_refuses_the_tenant_untouched(kind: str, disk: FakeDisk, store: TinyDBBackend) -> None:
    """Reads and writes are refused, operators see file and format, nothing in the folder changes, others work."""
    name = upgrade(disk, kind)
    before = content(disk)
    said = f"{name} has format 2, this version reads format 1"
    for attempt in (
        store.view("north", None),
        store.get("north", "notes", "one"),
        store.entries("north", EntryQuery()),
        store.commit("north", unit(4)),
        store.fold("north"),
        store.verify("north"),
        store.check("north"),
        store.backup("north", HOME.parent / "copy"),
    ):
        with pytest.raises(StorageUnavailable) as refused:
            await attempt
        assert (said in refused.value.operator_detail, "format" in refused.value.detail) == (True, False)
    store.note("north", entry(91, signature_result="invalid"))
    state = await store.state("north")
    assert (state.mode, said in state.reason) == ("read_only", True)
    assert said in (await store.troubled())["north"].reason
    with pytest.raises(SetupError, match=f"^tenant north: {said}"):
        await store.migrate()
    assert isinstance(await store.commit("south", unit(4)), Committed)
    await store.close()
    assert content(disk) == before


async def test_a_newer_file_of_the_previous_generation_is_found(disk: FakeDisk, store: TinyDBBackend) -> None:
    """A newer file in previous/ refuses the tenant too: opening may need it."""
    name = upgrade(disk, "store", NORTH / "previous")
    with pytest.raises(StorageUnavailable) as refused:
        await store.view("north", None)
    assert f"{name} has format 2" in refused.value.operator_detail


async def test_a_newer_identity_is_reported_before_the_first_request(disk: FakeDisk) -> None:
    """A newly opened store reports the tenant as troubled without opening it."""
    upgrade(disk, "identity")
    store = await open_store(disk, log_max_unverified=50)
    assert list(await store.troubled()) == ["north"]
    await store.close()


async def test_tenant_comes_back_with_its_files(disk: FakeDisk, store: TinyDBBackend) -> None:
    """When the newer file is replaced the next request opens the tenant with all its content."""
    before = content(disk)
    name = upgrade(disk, "journal")
    with pytest.raises(StorageUnavailable):
        await store.view("north", None)
    disk.edit(NORTH / name, lambda _: before[name])
    assert (await store.view("north", None)).seq == 3
    assert await store.troubled() == {}
    assert await store.migrate() == ()


async def test_header_that_does_not_fit_its_checksum_names_no_format(disk: FakeDisk, store: TinyDBBackend) -> None:
    """A changed format in a journal header is damage, not a newer format: the tenant stays readable."""
    name = next(name for name in disk.names(NORTH) if re.fullmatch(FILES["journal"], name))
    disk.edit(NORTH / name, lambda data: data.replace(b'"format":1', b'"format":3'))
    assert (await store.state("north")).mode == "quarantined"
    assert (await store.view("north", None)).seq == 2


async def test_backup_of_a_newer_format_is_refused(disk: FakeDisk, store: TinyDBBackend) -> None:
    """The refusal of a newer backup names its format and what to do, and restores nothing."""
    source = HOME.parent / "copy"
    await store.backup("south", source)
    disk.edit(source, newer)
    with pytest.raises(SetupError, match="has format 2, this version reads format 1: restore it with the version that"):
        await store.restore("west", source)
    assert await store.tenants() == ["north", "south"]

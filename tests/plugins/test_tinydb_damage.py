from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import Committed, EntryQuery, StoreState
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import entry
from crm_tinydb.framing import BATCH, SECTOR, framed
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import consistent_state, filled, opened, unit
from tinydb_world import FILES, HOME


def cut(data: bytes) -> bytes:
    return data[: len(data) // 3]


def zeroed(data: bytes) -> bytes:
    return bytes(len(data))


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def empty(data: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [cut, zeroed, flipped, empty])
@pytest.mark.parametrize("kind", FILES)
async def test_damaged_file(kind: str, damage: Callable[[bytes], bytes], stores: list[TinyDBBackend]) -> None:
    """A damaged file is moved aside unchanged; its tenant opens read-only with the reason, also after a restart."""
    disk = FakeDisk()
    store = await filled(disk, stores, folds=2)
    store.note("north", entry(90, signature_result="invalid"))
    store.note("north", entry(91, signature_result="invalid"))
    await store.fold("north")
    await store.commit("north", unit(10))
    await store.commit("north", unit(11))
    await store.close()
    folder = HOME / "north"
    name = next(name for name in disk.names(folder) if re.fullmatch(FILES[kind], name))
    # A journal or ring cut within a line looks as after a crash, which is no damage: cut within the header.
    change = (lambda data: data[:20]) if kind in {"journal", "ring"} and damage is cut else damage
    disk.edit(folder / name, change)
    damaged = disk.read(folder / name)

    for _ in range(2):
        after = await opened(disk, stores)
        state = await after.state("north")
        assert state.mode == "quarantined"
        assert name in state.reason
        with pytest.raises(StorageUnavailable):
            await after.commit("north", unit(12))
        assert any(name in problem for problem in await after.check("north"))
        aside = [other for other in disk.names(folder) if other.startswith(f"{name}.damaged-")]
        assert [disk.read(folder / each) for each in aside] == [damaged]
        view = await after.view("north", None)
        assert view.seq == (9 if kind == "journal" and damage is not flipped else view.seq)
        assert view.seq >= 9
        assert (await after.get("north", "notes", "d9")).document is not None
        await after.entries("north", EntryQuery())
        assert (await after.state("south")).mode == "ok"
        assert isinstance(await after.commit("south", unit((await after.view("south", None)).seq + 1)), Committed)
        await after.close()
    await accepted(disk, stores, lost_log=kind == "segment")


async def accepted(disk: FakeDisk, stores: list[TinyDBBackend], *, lost_log: bool) -> None:
    """Without its marker the tenant accepts writes, folds and opens again; the damaged files stay."""
    folder = HOME / "north"
    aside = [name for name in disk.names(folder) if ".damaged-" in name]
    disk.remove(folder / "quarantine")
    store = await opened(disk, stores)
    assert await store.state("north") == StoreState()
    seq = (await store.view("north", None)).seq
    assert isinstance(await store.commit("north", unit(seq + 1)), Committed)
    await store.fold("north")
    assert isinstance(await store.commit("north", unit(seq + 2)), Committed)
    again = await opened(disk.power_cut(), stores)
    assert await again.state("north") == StoreState()
    assert (await again.view("north", None)).seq == seq + 2
    assert ((await again.verify("north")).problems == ()) is not lost_log
    assert aside == [name for name in disk.names(folder) if ".damaged-" in name]


@pytest.mark.parametrize("kind", FILES)
async def test_missing_file(kind: str, stores: list[TinyDBBackend]) -> None:
    """A tenant never starts empty where a file was: a missing file is reported, except the ring, which is optional."""
    disk = FakeDisk()
    store = await filled(disk, stores, folds=2)
    await store.close()
    folder = HOME / "north"
    for name in disk.names(folder):
        if re.fullmatch(FILES[kind], name):
            disk.remove(folder / name)
    after = await opened(disk, stores)
    assert (await after.state("north")).mode == ("ok" if kind == "ring" else "quarantined")
    assert (await after.view("north", None)).seq >= 6


async def test_everything_missing(stores: list[TinyDBBackend]) -> None:
    """A tenant without any readable file refuses reads and writes."""
    disk = FakeDisk()
    store = await filled(disk, stores, folds=2)
    await store.close()
    for folder in (HOME / "north", HOME / "north" / "previous"):
        for name in disk.names(folder):
            if name != "previous":
                disk.edit(folder / name, empty)
    after = await opened(disk, stores)
    assert (await after.state("north")).mode == "quarantined"
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await after.view("north", None)
    with pytest.raises(StorageUnavailable):
        await after.commit("north", unit(10))


async def test_torn_last_line(stores: list[TinyDBBackend]) -> None:
    """A torn last line is dropped and counted, and the tenant accepts writes."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    await store.close()
    disk.edit(HOME / "north" / "journal-00000001.log", lambda data: data[:-5])
    after = await opened(disk, stores)
    assert (await after.state("north")).mode == "ok"
    assert (await consistent_state(after))[0] == 2
    assert any("unfinished" in problem for problem in await after.check("north"))
    assert isinstance(await after.commit("north", unit(3)), Committed)


def new_length_only(data: bytes) -> bytes:
    return data + bytes(4096)


def some_sectors(data: bytes) -> bytes:
    """Add a long line of which all but the first sectors are zeros."""
    line = framed(b'"' + b"x" * 4000 + b'"')
    stored = -len(data) % SECTOR + 2 * SECTOR
    return data + line[:stored] + bytes(len(line) - stored)


def without_line_feed(data: bytes) -> bytes:
    return data + framed(b'"unfinished"')[:-1]


@pytest.mark.parametrize("tail", [new_length_only, some_sectors, without_line_feed])
@pytest.mark.parametrize("kind", ["journal", "ring"])
async def test_unwritten_tail(tail: Callable[[bytes], bytes], kind: str, stores: list[TinyDBBackend]) -> None:
    """A tail of a batch that a power cut prevented is dropped and counted, and nothing answered is lost."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    store.note("north", entry(90, signature_result="invalid"))
    await store.fold("north")
    await store.commit("north", unit(4))
    await store.close()
    folder = HOME / "north"
    name = next(name for name in disk.names(folder) if re.fullmatch(FILES[kind], name))
    disk.edit(folder / name, tail)
    after = await opened(disk, stores)
    assert (await after.state("north")).mode == "ok"
    assert (await consistent_state(after))[0] == 4
    assert len(await after.entries("north", EntryQuery(verified=False))) == 1
    assert any("1 unfinished line" in problem for problem in await after.check("north"))
    assert isinstance(await after.commit("north", unit(5)), Committed)


def zeros_within_a_sector(data: bytes) -> bytes:
    shorter = data[:-20]
    assert len(shorter) % SECTOR
    return shorter + bytes(20)


def line_feed_replaced(data: bytes) -> bytes:
    assert (len(data) - 1) % SECTOR
    return data[:-1] + b"\0"


def more_than_a_batch(data: bytes) -> bytes:
    return data + bytes(BATCH + 1)


def line_after_zeros(data: bytes) -> bytes:
    return data + bytes(600) + framed(b'"later"')


@pytest.mark.parametrize("tail", [zeros_within_a_sector, line_feed_replaced, more_than_a_batch, line_after_zeros])
async def test_zeros_that_no_power_cut_leaves(tail: Callable[[bytes], bytes], stores: list[TinyDBBackend]) -> None:
    """Zeros that may have replaced an answered line are damage."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    await store.close()
    disk.edit(HOME / "north" / "journal-00000001.log", tail)
    after = await opened(disk, stores)
    assert (await after.state("north")).mode == "quarantined"


async def test_unfinished_files_are_removed_at_open(stores: list[TinyDBBackend]) -> None:
    """A file that a kill left half written goes at the next start; other files stay."""
    disk = FakeDisk()
    store = await filled(disk, stores)
    await store.close()
    folder = HOME / "north"
    leftovers = ("log-0000000001-0000000009.seg.new", "store-00000002.json.new", "journal-00000002.log.new")
    for name in (*leftovers, "notes.new"):
        disk.close(disk.open(folder / name, create=True))
    after = await opened(disk, stores)
    assert (await after.state("north")).mode == "ok"
    assert [name for name in disk.names(folder) if name.endswith(".new")] == ["notes.new"]


async def test_admin_accepts_what_is_left(stores: list[TinyDBBackend]) -> None:
    """After the marker is removed a quarantined tenant continues from its last good state, without a restart."""
    disk = FakeDisk()
    store = await filled(disk, stores, folds=1)
    await store.close()
    disk.edit(HOME / "north" / "journal-00000002.log", flipped)
    after = await opened(disk, stores)
    left = (await after.view("north", None)).seq
    assert 3 <= left < 6
    assert (await after.state("north")).mode == "quarantined"
    disk.remove(HOME / "north" / "quarantine")
    assert (await after.state("north")).mode == "ok"
    assert (await consistent_state(after))[0] == left
    assert isinstance(await after.commit("north", unit(left + 1)), Committed)
    assert await after.troubled() == {}


@pytest.mark.parametrize("damage", [cut, flipped])
async def test_a_journal_that_is_damaged_under_its_store(
    damage: Callable[[bytes], bytes], stores: list[TinyDBBackend]
) -> None:
    """The check says that memory still has everything and what saves it; after that nothing is lost at a restart."""
    disk = FakeDisk()
    store = await filled(disk, stores, folds=1)
    disk.edit(HOME / "north" / next(name for name in disk.names(HOME / "north") if name.startswith("journal-")), damage)
    *found, advice = await store.check("north")
    assert found
    assert "crm tenant backup, then crm tenant fold, before you stop the server" in advice
    await store.fold("north")
    assert await store.check("north") == ()
    await store.close()
    assert (await consistent_state(await opened(disk, stores)))[0] == 6


@pytest.mark.parametrize("kind", ["journal", "log"])
async def test_what_memory_does_not_have_is_not_promised(kind: str, stores: list[TinyDBBackend]) -> None:
    """A damaged segment of the log, and a journal that was damaged before the store opened it, are lost."""
    disk = FakeDisk()
    store = await filled(disk, stores, folds=1)
    if kind == "journal":
        await store.close()
    disk.edit(HOME / "north" / next(name for name in disk.names(HOME / "north") if name.startswith(kind)), flipped)
    checked = await (await opened(disk, stores) if kind == "journal" else store).check("north")
    assert checked
    assert not [problem for problem in checked if "memory" in problem]

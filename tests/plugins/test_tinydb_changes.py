from __future__ import annotations

import asyncio
import re
from pathlib import Path
from zlib import crc32

import pytest

from crm_core.errors import StorageUnavailable
from crm_core.model.diff import Change
from crm_core.plugin.storage import Delete, StorageContext, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import put
from crm_core.testing.storage_changes import change, written
from crm_tinydb.checksum import ending
from crm_tinydb.erasures import MARK
from crm_tinydb.storage import TinyDBBackend
from tinydb_story import NOW, opened, unit
from tinydb_world import FILES, HOME, SCRATCH, with_folders

NORTH = HOME / "north"


@pytest.fixture
def disk() -> FakeDisk:
    return with_folders(FakeDisk())


def bytes_of(disk: FakeDisk, folder: Path = NORTH) -> bytes:
    """Every byte in a tenant's folder."""
    parts = []
    for name in disk.names(folder):
        inner = folder / name
        parts.append(bytes_of(disk, inner) if name == "previous" else disk.read(inner))
    return b"".join(parts)


async def erase_a_record(disk: FakeDisk, stores: list[TinyDBBackend]) -> TinyDBBackend:
    """A store whose files contain what the erased record ``a`` said, in both generations, and what ``b`` says."""
    store = await opened(disk, stores)
    await store.create("north")
    for number in range(1, 4):
        await store.commit("north", written(change("a", number), change("b", number)))
        await store.fold("north")
    erased = change("a", 4, change="erased", external_id=None, changes=())
    await store.commit("north", Unit(now=NOW, deletes=(Delete("notes", "a"),), changes=(erased,)))
    assert all(text in bytes_of(disk) for text in (b"own-a", b"own-b"))
    return store


async def test_a_fold_after_an_erase_leaves_no_byte(disk: FakeDisk, stores: list[TinyDBBackend]) -> None:
    """No file of either generation contains what the record said; the next fold keeps a previous generation again."""
    store = await erase_a_record(disk, stores)
    await store.fold("north")
    assert b"own-a" not in bytes_of(disk)
    assert b"request-a-1" not in bytes_of(disk)
    assert b"own-b" in bytes_of(disk)
    assert disk.names(NORTH / "previous") == []
    await store.commit("north", written(change("b", 4)))
    await store.fold("north")
    assert [name for name in disk.names(NORTH / "previous") if name.startswith("store-")]
    assert [each.entry.revision for each in await store.history("north", "notes", "b")] == [4, 3, 2, 1]


async def test_a_crash_in_that_fold_leaves_no_byte_after_the_next_start(
    disk: FakeDisk, stores: list[TinyDBBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier generations that the fold could not remove are removed when the tenant is opened."""
    store = await erase_a_record(disk, stores)

    def fails(_: object) -> list[str]:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(disk, "make_folder", fails)
        await store.fold("north")
    assert b"own-a" in bytes_of(disk)
    again = await opened(disk.power_cut(), stores)
    assert (await again.state("north")).mode == "ok"
    assert b"own-a" not in bytes_of(again._disk)  # type: ignore[arg-type]


async def test_a_fold_takes_the_change_log_out_of_memory(disk: FakeDisk, stores: list[TinyDBBackend]) -> None:
    """After a fold only summaries of segments are in memory, and a large entry fills a segment before its number."""
    store = await opened(disk, stores)
    await store.create("north")
    large = tuple(Change("/text", "x" * 1_500_000, number) for number in range(2))
    entries = [change(f"n{number}", 2, changes=large) for number in range(3)] + [change("small")]
    await store.commit("north", written(*entries))
    await store.fold("north")
    log = store.open_tenants.find_open("north").changes  # type: ignore[union-attr]
    assert log.tail == []
    assert [(segment.first, segment.last) for segment in log.segments] == [(1, 1), (2, 2), (3, 4)]
    first = (await store.changes("north", 0)).entries
    assert first is not None
    assert [each.place for each in first] == [1]
    assert (await store.history("north", "notes", "small"))[0].entry == entries[3]


async def test_a_store_without_an_epoch_gets_one(disk: FakeDisk, stores: list[TinyDBBackend]) -> None:
    """The epoch of a store that an earlier version wrote lasts from the next unit on."""
    store = await opened(disk, stores)
    await store.create("north")
    await store.close()
    name = "store-00000001.json"
    disk.edit(NORTH / name, lambda data: sealed(re.sub(rb'"epoch":"\w+"', b'"epoch":""', data)))
    store = await opened(disk, stores)
    await store.commit("north", written(change("a")))
    epoch = (await store.changes("north", None)).epoch
    assert epoch
    await store.close()
    store = await opened(disk, stores)
    assert (await store.changes("north", None)).epoch == epoch
    await store.fold("north")
    await store.close()
    assert (await (await opened(disk, stores)).changes("north", None)).epoch == epoch


def sealed(data: bytes) -> bytes:
    """A folded file with a checksum that fits."""
    content = data[: data.index(b',\n"_check":')]
    return content + ending(len(content), crc32(content))


@pytest.mark.parametrize("kind", ["journal", "store"])
async def test_an_accepted_loss_of_units_begins_another_epoch(
    kind: str, disk: FakeDisk, stores: list[TinyDBBackend]
) -> None:
    """Places that lost entries had are given again only in another epoch; a loss of no unit keeps the epoch."""
    store = await opened(disk, stores)
    await store.create("north")
    for number in range(1, 4):
        await store.commit("north", unit(number))
        if number == 2:
            await store.fold("north")
    before = (await store.changes("north", None)).epoch
    await store.close()
    name = next(name for name in disk.names(NORTH) if re.fullmatch(FILES[kind], name))
    disk.edit(NORTH / name, lambda data: data[:40])
    store = await opened(disk, stores)
    assert ((await store.changes("north", None)).epoch == before) is (kind == "store")
    await store.close()
    disk.remove(NORTH / "quarantine")
    for _ in range(2):
        store = await opened(disk, stores)
        await store.commit("north", unit(10 + _))
        epoch = (await store.changes("north", None)).epoch
        assert (epoch == before) is (kind == "store")
        await store.close()
        assert (await (await opened(disk, stores)).changes("north", None)).epoch == epoch
        await stores[-1].close()


async def test_damage_that_a_reader_finds(tmp_path: Path) -> None:
    """A segment that is damaged under the open store is reported, refused, and puts the tenant in quarantine."""
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path))
    await store.create("north")
    await store.commit("north", written(change("a")))
    await store.fold("north")
    await store.commit("north", Unit(now=NOW, puts=(put("other"),)))
    (segment,) = (tmp_path / "north").glob("changes-*.seg")
    segment.write_bytes(segment.read_bytes()[:-9])
    with pytest.raises(StorageUnavailable, match="crm doctor") as refused:
        await store.changes("north", 0)
    assert (segment.name in refused.value.operator_detail, segment.name in refused.value.detail) == (True, False)
    with pytest.raises(StorageUnavailable):
        await store.history("north", "notes", "a")
    assert segment.name in (await store.state("north")).reason
    await store.close()


async def test_reads_go_on_while_folds_move_the_log(disk: FakeDisk, stores: list[TinyDBBackend]) -> None:
    """A reader that continues between folds, erases and retention gets every entry once."""
    store = await opened(disk, stores)
    await store.create("north")
    places: list[int] = []
    for number in range(1, 30):
        await store.commit("north", written(change(f"n{number}"), change("same", number)))
        if number % 3 == 0:
            await store.fold("north")
        if number % 7 == 0:
            erased = change(f"n{number}", 2, change="erased", changes=())
            await store.commit("north", Unit(now=NOW, deletes=(Delete("notes", f"n{number}"),), changes=(erased,)))
        if number % 4 == 0:
            page = await store.changes("north", places[-1] if places else 0, 5)
            places += [each.place for each in page.entries or ()]
    while page.newest > places[-1]:
        page = await store.changes("north", places[-1], 5)
        places += [each.place for each in page.entries or ()]
    assert places == list(range(1, 29 * 2 + 4 + 1))
    await store.backup("north", SCRATCH / "copy")
    await store.restore("copy", SCRATCH / "copy")
    assert (await store.changes("copy", None)).newest == places[-1]


async def test_a_fold_after_an_erase_comes_by_itself(disk: FakeDisk, stores: list[TinyDBBackend]) -> None:
    """It comes when its time has come, and after a crash too, for a tenant that is not used any more."""

    async def opened_soon(disk: FakeDisk) -> TinyDBBackend:
        store = TinyDBBackend(disk, fold_erased_after=0.05)
        stores.append(store)
        await store.open(StorageContext(HOME))
        return store

    async def cleaned(disk: FakeDisk, text: bytes) -> None:
        for _ in range(1000):
            if text not in bytes_of(disk) and MARK not in disk.names(NORTH):
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"{text!r} is still there")

    await erase_a_record(disk, stores)
    assert MARK in disk.names(NORTH)
    after = disk.power_cut()
    store = await opened_soon(after)
    await cleaned(after, b"own-a")
    assert (await store.state("north")).mode == "ok"
    erased = change("b", 4, change="erased", external_id=None, changes=())
    await store.commit("north", Unit(now=NOW, deletes=(Delete("notes", "b"),), changes=(erased,)))
    await cleaned(after, b"own-b")


async def test_pages_of_a_long_segment(tmp_path: Path) -> None:
    """A page is read from any place of a segment; damage that another page has not is found when it is read."""
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path))
    await store.create("north")
    for first in range(0, 1000, 500):
        await store.commit("north", written(*(change(f"n{number}") for number in range(first, first + 500))))
    await store.fold("north")
    for after, limit in ((0, 1), (0, 128), (127, 2), (500, 300), (999, 500), (0, 1000)):
        entries = (await store.changes("north", after, limit)).entries or ()
        assert [each.place for each in entries] == list(range(after + 1, 1001))[:limit]
        assert [each.entry.id for each in entries] == [f"n{each.place - 1}" for each in entries]
    (segment,) = (tmp_path / "north").glob("changes-*.seg")
    segment.write_bytes(segment.read_bytes().replace(b"own-n900", b"own-n9oo"))
    assert len((await store.changes("north", 0, 500)).entries or ()) == 500
    with pytest.raises(StorageUnavailable, match="crm doctor"):
        await store.changes("north", 800, 200)
    await store.close()

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from crm_core.errors import SetupError
from crm_core.model.log import GENESIS, Head
from crm_core.plugin.storage import EntryQuery, StorageContext, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import entry
from crm_tinydb.segments import FULL
from crm_tinydb.storage import TinyDBBackend
from tinydb_world import HOME, open_store, with_folders

DAY = 86_400
START = 1_798_761_600  # 2027-01-01T00:00:00Z, when the suite's entries begin


@pytest.fixture
async def disk() -> FakeDisk:
    return with_folders(FakeDisk())


@pytest.fixture
async def store(disk: FakeDisk) -> AsyncIterator[TinyDBBackend]:
    store = await open_store(disk, log_keep_days=1)
    await store.create("north")
    yield store
    await store.close()


async def logged(store: TinyDBBackend, first: int, count: int, *, now: int = START) -> None:
    """Chained entries, a second apart, in units of many."""
    for start in range(first, first + count, 512):
        numbers = range(start, min(start + 512, first + count))
        await store.commit("north", Unit(now=now, entries=tuple(entry(number) for number in numbers)))


def segments(disk: FakeDisk) -> list[str]:
    return [name for name in disk.names(HOME / "north") if name.endswith(".seg")]


async def test_a_long_log_is_stored_in_segments(store: TinyDBBackend, disk: FakeDisk) -> None:
    """Folded entries are in segments of a bounded size, not in memory, and pages find all of them."""
    total = 2 * FULL + 100
    await logged(store, 1, total)
    await store.fold("north")
    assert len(segments(disk)) == 3
    tenant = store.open_tenants.find_open("north")
    assert tenant is not None
    assert tenant.log.tail == []
    seen, after = 0, None
    while page := await store.entries("north", EntryQuery(after=after, limit=1000)):
        assert [each.id for each in page] == [entry(total - seen - at).id for at in range(len(page))]
        seen, after = seen + len(page), page[-1].id
    assert seen == total
    found = await store.entries("north", EntryQuery(equals=(("nonce", "nonce-7"),)))
    assert [each.id for each in found] == [entry(7).id]
    assert (await store.verify("north")).problems == ()


async def test_short_last_segment_grows(store: TinyDBBackend, disk: FakeDisk) -> None:
    """Many small folds leave one segment, not many small ones."""
    for number in range(12):
        await logged(store, 1 + 10 * number, 10)
        await store.fold("north")
    assert len(segments(disk)) == 1
    assert (await store.verify("north")).entries == 120


async def test_retention_keeps_an_anchor(store: TinyDBBackend, disk: FakeDisk) -> None:
    """A fold drops whole segments older than ``log_keep_days``; the chain is valid from the last dropped hash on."""
    await logged(store, 1, 2 * FULL + 10)
    await store.fold("north")
    dropped = msgspec.structs.asdict((await store.entries("north", EntryQuery(equals=(("seq", FULL),))))[0])
    retained = (await store.entries("north", EntryQuery(equals=(("seq", FULL + 5),))))[0]
    before = await store.verify("north")
    assert (before.anchor, before.entries) == (Head(), 2 * FULL + 10)
    later = START + DAY + FULL + 100  # now all of the first segment is older than a day, and part of the second
    await logged(store, 2 * FULL + 11, 1, now=later)
    await store.fold("north")
    report = await store.verify("north")
    assert report.problems == ()
    assert report.anchor == Head(FULL, dropped["entry_hash"])
    assert report.entries == FULL + 11
    oldest = (await store.entries("north", EntryQuery(limit=10 * FULL)))[-1]
    assert (oldest.seq, oldest.prev_hash) == (FULL + 1, dropped["entry_hash"])
    assert (await store.verify("north", Head(FULL + 5, retained.entry_hash or ""))).problems == ()
    assert (await store.verify("north", report.anchor)).problems == ()
    gone = await store.verify("north", Head(3, "a" * 64))
    assert "before the oldest retained entry" in gone.problems[0]
    again = await open_store(disk.power_cut(), log_keep_days=1)
    assert (await again.verify("north")).anchor == report.anchor
    await again.close()


async def test_a_clock_that_was_ahead_drops_nothing_later(store: TinyDBBackend, disk: FakeDisk) -> None:
    """A unit of a clock that was years ahead does not age what was written before it once the clock is right again."""
    await logged(store, 1, FULL + 10)
    await logged(store, FULL + 11, 1, now=START + 1000 * DAY)
    await logged(store, FULL + 12, 1)
    await store.fold("north")
    assert (await store.verify("north")).anchor == Head()
    await store.close()
    again = await open_store(disk, log_keep_days=1)
    await again.fold("north")
    assert (await again.verify("north")).anchor == Head()
    await again.close()


async def test_edited_log_shows(store: TinyDBBackend, disk: FakeDisk) -> None:
    """An entry edited on disk with a valid checksum breaks the chain; a truncated log fails against an earlier head."""
    await logged(store, 1, 20)
    head = (await store.view("north", None)).head
    assert head.hash != GENESIS
    await store.close()

    def edited(data: bytes) -> bytes:
        from crm_tinydb.framing import framed

        lines = data.split(b"\n")
        lines[1] = framed(lines[1][9:].replace(b'"nonce-3"', b'"nonce-X"'))[:-1]
        return b"\n".join(lines)

    disk.edit(HOME / "north" / "journal-00000001.log", edited)
    after = await open_store(disk)
    problems = (await after.verify("north")).problems
    assert any("entry 3 was changed" in problem for problem in problems)
    await after.close()
    disk.edit(HOME / "north" / "journal-00000001.log", lambda data: data[: data.index(b"\n") + 1])
    cut = await open_store(disk)
    assert (await cut.verify("north")).problems == ()
    assert (await cut.verify("north", head)).problems != ()
    await cut.close()
    await store.open(StorageContext(HOME))


async def test_an_accepted_gap_stays_visible_and_can_be_backed_up(store: TinyDBBackend, disk: FakeDisk) -> None:
    """After a lost segment is accepted, writes continue and verify reports the gap, also in a restored backup."""
    await logged(store, 1, 5)
    await store.fold("north")
    await logged(store, 6, 5)
    await store.close()
    folder = HOME / "north"
    (segment,) = (name for name in disk.names(folder) if name.endswith(".seg"))
    disk.edit(folder / segment, lambda data: data[:-9])
    await store.open(StorageContext(HOME))
    assert (await store.state("north")).mode == "quarantined"
    disk.remove(folder / "quarantine")
    await logged(store, 11, 1)
    await store.backup("north", HOME / "copy")
    await store.restore("south", HOME / "copy")
    await store.fold("north")
    await store.fold("south")
    await logged(store, 12, 1)
    for name in ("north", "south"):
        assert (await store.state(name)).mode == "ok"
        assert [problem.partition(":")[0] for problem in (await store.verify(name)).problems] == [
            "entry 6 follows entry 0"
        ]
    assert [problem for problem in await store.check("north") if f"{segment}.damaged-1" in problem]
    disk.edit(HOME / "copy", lambda data: data.replace(b'"nonce-8"', b'"nonce-X"'))
    with pytest.raises(SetupError, match="not a whole backup"):
        await store.restore("east", HOME / "copy")


async def test_pages_during_folds(store: TinyDBBackend) -> None:
    """Paging through the log returns every entry once while folds move entries from memory to disk."""
    await logged(store, 1, 3000)

    async def folding() -> None:
        for number in range(3):
            await logged(store, 5000 + number, 1)
            await store.fold("north")

    folds = asyncio.create_task(folding())
    seen: list[str] = []
    after = entry(3001).id
    while page := await store.entries("north", EntryQuery(after=after, limit=100)):
        seen += [each.id for each in page]
        after = page[-1].id
        await asyncio.sleep(0.002)
    await folds
    assert seen == [entry(number).id for number in range(3000, 0, -1)]


async def test_a_segment_without_the_status_is_not_read(store: TinyDBBackend, disk: FakeDisk) -> None:
    """Health looks for statuses that are rare: a segment whose summary has none of them stays closed."""
    await logged(store, 1, FULL)
    await store.fold("north")
    (segment,) = segments(disk)
    disk.remove(HOME / "north" / segment)
    assert await store.entries("north", EntryQuery(equals=(("status", "unchanged"),), limit=1)) == ()
    assert (await store.state("north")).mode == "ok"

"""Suite cases about the log: the chain, the ring, pages, counts."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import msgspec

from crm_core.model.log import GENESIS, Head, is_intact
from crm_core.plugin.storage import EntryQuery, StoreState, Unit
from crm_core.testing.promises import Suite
from crm_core.testing.storage_harness import NOW, StorageHarness, entry

DAY = 24 * 3600


async def _logged(storage: StorageHarness, first: int, last: int, **members: object) -> None:
    for number in range(first, last + 1):
        await storage.commit(Unit(now=NOW, entries=(entry(number, **members),)))


class LogCases(Suite):
    """The chained log and the ring of unverified attempts."""

    async def test_chain(self, storage: StorageHarness) -> None:
        """Entries are linked in commit order; commit and view return the head; verify finds no problems."""
        await _logged(storage, 1, 3)
        done = await storage.commit(Unit(now=NOW, entries=(entry(4), entry(5))))
        listed = (await storage.store.entries("north", EntryQuery()))[::-1]
        assert [each.seq for each in listed] == [1, 2, 3, 4, 5]
        assert listed[0].prev_hash == GENESIS
        assert all(is_intact(each) for each in listed)
        assert all(after.prev_hash == before.entry_hash for before, after in pairwise(listed))
        assert done.head == Head(5, listed[-1].entry_hash or "")
        assert (await storage.store.view("north", None)).head == done.head
        report = await storage.store.verify("north")
        assert (report.entries, report.head, report.problems) == (5, done.head, ())

    async def test_chain_of_concurrent_units(self, storage: StorageHarness) -> None:
        """Concurrent units form one chain without forks."""
        await asyncio.gather(
            *(storage.store.commit("north", Unit(now=NOW, entries=(entry(number),))) for number in range(1, 31))
        )
        report = await storage.store.verify("north")
        assert (report.entries, report.problems) == (30, ())

    async def test_verify_with_head(self, storage: StorageHarness) -> None:
        """An earlier head is in the chain; verify reports a head that is not."""
        await _logged(storage, 1, 4)
        second = (await storage.store.entries("north", EntryQuery()))[2]
        assert (await storage.store.verify("north", Head(2, second.entry_hash or ""))).problems == ()
        assert (await storage.store.verify("north", Head(2, "f" * 64))).problems != ()
        assert (await storage.store.verify("north", Head(9, second.entry_hash or ""))).problems != ()

    async def test_pages_newest_first(self, storage: StorageHarness) -> None:
        """Pages return each entry once, newest id first, across chain, ring, fold and restart."""
        for number in range(1, 41):
            if number % 4 == 0:
                storage.store.note("north", entry(number, signature_result="invalid", status="rejected"))
            else:
                await _logged(storage, number, number)
            if number in {15, 30}:
                await storage.store.fold("north")
        expected = [entry(number).id for number in range(40, 0, -1)]
        for again in (False, True):
            store = await storage.reopen() if again else storage.store
            seen: list[str] = []
            after = None
            while page := await store.entries("north", EntryQuery(after=after, limit=7)):
                seen += [each.id for each in page]
                after = page[-1].id
            assert seen == expected

    async def test_filters(self, storage: StorageHarness) -> None:
        """Members are compared by equality, times from ``since``, inclusive, to ``until``, exclusive."""
        await _logged(storage, 1, 5, payload_type="branding", key_version=1)
        await storage.store.fold("north")
        await _logged(storage, 6, 9, payload_type="features", status="rejected")
        storage.store.note("north", entry(10, status="rejected", signature_result="missing"))

        async def ids(**query: object) -> list[int]:
            found = await storage.store.entries("north", EntryQuery(**query))  # type: ignore[arg-type]
            return [int(each.id[4:]) for each in found]

        assert await ids(equals=(("payload_type", "branding"),)) == [5, 4, 3, 2, 1]
        assert await ids(equals=(("payload_type", "branding"), ("nonce", "nonce-2"))) == [2]
        assert await ids(equals=(("key_version", 1),), limit=2) == [5, 4]
        assert await ids(equals=(("status", "rejected"),)) == [10, 9, 8, 7, 6]
        assert await ids(verified=False) == [10]
        assert await ids(verified=True, limit=1) == [9]
        assert await ids(since=entry(4).received_at, until=entry(7).received_at) == [6, 5, 4]
        assert await ids(equals=(("request_id", "request"),)) == []

    async def test_old_entries_are_dropped(self, storage: StorageHarness) -> None:
        """Past ``log_keep_days`` a fold drops entries, if only in whole segments; newer ones stay, and the chain holds.

        The operator promises how long personal data is stored.
        """
        storage.context = msgspec.structs.replace(storage.context, log_keep_days=30)
        store = await storage.reopen()
        for first in range(1, 5001, 500):
            await storage.commit(Unit(now=NOW, entries=tuple(map(entry, range(first, first + 500)))))
        for at, now in (("2027-01-30", NOW + 15 * DAY), ("2027-02-03", NOW + 19 * DAY)):
            late = entry(5000, id=at, received_at=f"{at}T00:00:00Z")
            await storage.commit(Unit(now=now, entries=(late,)))
            await store.fold("north")
            report = await store.verify("north")
            assert report.problems == (), "the chain continues from the anchor after entries were dropped"
            if at == "2027-01-30":
                assert report.anchor.seq == 0, "no entry is older than 30 days, so all stay"
        assert report.anchor.seq > 0, "entries of 33 days ago must be dropped by a fold that retains 30 days"
        assert report.anchor.seq < 5001, "entries within the 30 days must stay"
        found = await store.entries("north", EntryQuery(limit=6000))
        assert len(found) == report.entries == 5002 - report.anchor.seq, "verify walks what entries returns"

    async def test_ring(self, storage: StorageHarness) -> None:
        """An unverified attempt is readable immediately, without seq and hashes; one with the same id replaces it."""
        storage.store.note("north", entry(1, signature_result="invalid"))
        storage.store.note("north", entry(1, signature_result="invalid", count=5))
        found = await storage.store.entries("north", EntryQuery())
        assert [(each.count, each.seq, each.prev_hash, each.entry_hash) for each in found] == [(5, None, None, None)]
        assert await storage.store.entries("south", EntryQuery()) == ()
        storage.store.note("absent", entry(2))  # ignored

    async def test_ring_is_durable_soon(self, storage: StorageHarness) -> None:
        """Unverified attempts survive a power cut after a second."""
        storage.store.note("north", entry(1, signature_result="invalid"))
        await asyncio.sleep(1.0)
        store = await storage.power_cut()
        assert [each.id for each in await store.entries("north", EntryQuery())] == [entry(1).id]

    async def test_ring_is_bounded(self, storage: StorageHarness) -> None:
        """The ring has only the newest attempts, up to its bound."""
        bound = storage.context.log_max_unverified
        for number in range(1, bound + 11):
            storage.store.note("north", entry(number, signature_result="missing"))
        found = await storage.store.entries("north", EntryQuery(limit=bound * 2, verified=False))
        assert len(found) == bound
        assert found[-1].id == entry(11).id

    async def test_tally(self, storage: StorageHarness) -> None:
        """Statuses are counted from a time on, keys over all entries, attempts outside the chain by what they were."""
        await _logged(storage, 1, 4, key_version=1)
        await storage.store.fold("north")
        await _logged(storage, 5, 6, key_version=2, status="rejected")
        storage.store.note("north", entry(7, signature_result="invalid", status="rejected", count=3))
        storage.store.note("north", entry(8, signature_result="unchecked", status="failed"))
        storage.store.note("north", entry(9, status="failed"))
        storage.store.note("north", entry(10))
        tally = await storage.store.tally("north", entry(3).received_at)
        assert tally.statuses["applied"] == 2
        assert tally.statuses["rejected"] == 2
        assert tally.statuses["unverified"] == 4
        assert tally.statuses["failed"] == 1
        assert {version: use.uses for version, use in tally.keys.items()} == {1: 4, 2: 2}
        assert tally.keys[1].last_used_at == entry(4).received_at

    async def test_summary(self, storage: StorageHarness) -> None:
        """A summary has the newest entries of each kind, also after a restart, and after more was written."""
        for number in range(1, 8):
            status = "unchanged" if number == 3 else "rejected"
            unit = Unit(now=NOW, entries=(entry(number, status=status),), revises=True)
            await storage.commit(unit)
            storage.store.note("north", entry(10 + number, error_code="key_unknown" if number > 1 else "type_mismatch"))
            storage.store.note("north", entry(20 + number, error_code="signature_missing"))
        for again in (False, True):
            store = await storage.reopen() if again else storage.store
            for _ in range(2):
                found = await store.summary("north")
                assert [each.seq for each in found.recent] == [7, 6, 5, 4, 3]
                assert [int(each.id[4:]) for each in found.unverified] == [17, 16, 15, 14, 13]
                assert found.last_success is not None
                assert (found.last_success.seq, found.revision, found.state) == (3, 7, StoreState())
        await storage.commit(Unit(now=NOW, entries=(entry(30),), revises=True))
        found = await storage.store.summary("north")
        assert found.last_success is not None
        assert (found.last_success.seq, found.revision) == (8, 8)

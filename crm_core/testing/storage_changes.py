"""Suite cases about the change log: order, durability, epochs, histories, retention, erasing."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from crm_core.model.change_log import RECORD_CHANGED, SYNC_APPLIED, ChangeEntry
from crm_core.model.diff import Change
from crm_core.model.times import to_wire
from crm_core.plugin.storage import Claim, Delete, Unit
from crm_core.testing.promises import Suite
from crm_core.testing.storage_harness import NOW, StorageHarness, put

DAY = 24 * 3600


def change(id_: str, revision: int = 1, *, now: int = NOW, **members: Any) -> ChangeEntry:
    """An entry of the record ``id_`` of the type ``notes``."""
    plain: dict[str, Any] = {
        "event": RECORD_CHANGED,
        "at": to_wire(datetime.fromtimestamp(now, UTC)),
        "actor": "user:1",
        "request_id": f"request-{id_}-{revision}",
        "type": "notes",
        "id": id_,
        "external_id": f"own-{id_}",
        "revision": revision,
        "change": "created" if revision == 1 else "updated",
        "changes": () if revision == 1 else (Change("/name", f"{id_} {revision - 1}", {"n": [revision, None]}),),
    }
    return ChangeEntry(**(plain | members))


def written(*entries: ChangeEntry, now: int = NOW, **members: Any) -> Unit:
    """A unit that puts each entry's record."""
    puts = tuple(put(entry.id) for entry in entries if entry.id)
    return Unit(now=now, puts=puts, changes=entries, **members)


async def _all(storage: StorageHarness, tenant: str = "north", after: int = 0) -> list[tuple[int, ChangeEntry]]:
    """The change log after a place, read to its end."""
    found: list[tuple[int, ChangeEntry]] = []
    while True:
        page = await storage.store.changes(tenant, found[-1][0] if found else after, 3)
        assert page.entries is not None, "a place that was just read must be known"
        if not page.entries:
            assert page.newest == (found[-1][0] if found else after), "entries must follow until the newest place"
            return found
        found += [(stored.place, stored.entry) for stored in page.entries]


async def _history(storage: StorageHarness, id_: str, tenant: str = "north", limit: int = 2) -> list[ChangeEntry]:
    """A record's history, read to its end."""
    found: list[Any] = []
    while True:
        before = found[-1].place if found else None
        more = await storage.store.history(tenant, "notes", id_, before, limit)
        if not more:
            return [stored.entry for stored in found]
        found += more


class ChangeCases(Suite):
    """The change log."""

    async def test_changes_are_in_commit_order(self, storage: StorageHarness) -> None:
        """Places count the entries of all units from 1, in commit order; no page is over its limit."""
        entries = [change("a"), change("b"), change("a", 2), change("c")]
        await storage.commit(written(entries[0]))
        await storage.put(put("silent"))
        await storage.commit(written(*entries[1:3]))
        sync = ChangeEntry(event=SYNC_APPLIED, at=entries[0].at, data={"type": "features", "n": [1]})
        await storage.commit(Unit(now=NOW, changes=(sync,)))
        await storage.commit(written(entries[3]))
        assert await _all(storage) == list(enumerate([*entries[:3], sync, entries[3]], 1))
        page = await storage.store.changes("north", 1, 2)
        assert page.entries is not None
        assert [stored.place for stored in page.entries] in ([2], [2, 3])
        assert (page.after, page.texts) == (1, tuple(msgspec.json.encode(stored.entry) for stored in page.entries))
        assert (page.oldest, page.newest, page.seq, page.revision) == (0, 5, 5, 0)
        where = await storage.store.changes("north", None)
        assert (where.epoch, where.newest, where.entries) == (page.epoch, 5, ())

    async def test_concurrent_changes_have_different_places(self, storage: StorageHarness) -> None:
        """Of units committed at the same time, each is in the log once, its entries next to each other."""
        units = [written(change(f"n{number}"), change(f"m{number}")) for number in range(40)]
        await asyncio.gather(*(storage.commit(unit) for unit in units))
        found = await _all(storage)
        assert [place for place, _ in found] == list(range(1, 81))
        ids = [entry.id for _, entry in found]
        assert all(second == f"m{first[1:]}" for first, second in zip(ids[::2], ids[1::2], strict=True))
        assert len(set(ids)) == 80

    async def test_a_refused_unit_leaves_no_change(self, storage: StorageHarness) -> None:
        """A unit in conflict is not in the change log, and takes no place."""
        await storage.commit(Unit(now=NOW, claims=(Claim("k", "a", b"1"),)))
        await storage.refused(written(change("a"), claims=(Claim("k", "a", b"1"),)), "claim")
        await storage.commit(written(change("b")))
        assert [(place, entry.id) for place, entry in await _all(storage)] == [(1, "b")]

    async def test_places_that_are_not_known(self, storage: StorageHarness) -> None:
        """A place after the newest has no entries, not even none."""
        await storage.commit(written(change("a")))
        assert (await storage.store.changes("north", 1)).entries == ()
        assert (await storage.store.changes("north", 2)).entries is None
        assert (await storage.store.changes("south", 1)).entries is None

    async def test_changes_are_durable(self, storage: StorageHarness) -> None:
        """Changes, their places and the epoch survive folds, power cuts and another name; numbering continues."""
        entries = [change("a", number) for number in (1, 2, 3)] + [change("b")]
        await storage.commit(written(*entries[:2]))
        epoch = (await storage.store.changes("north", None)).epoch
        await storage.store.fold("north")
        await storage.commit(written(entries[2]))
        await storage.power_cut()
        assert await _all(storage) == list(enumerate(entries[:3], 1))
        await storage.store.rename("north", "west")
        await storage.commit(written(entries[3]), "west")
        await storage.store.fold("west")
        await storage.reopen()
        assert await _all(storage, "west") == list(enumerate(entries, 1))
        assert await _history(storage, "a", "west") == entries[2::-1]
        assert (await storage.store.changes("west", None)).epoch == epoch

    async def test_an_epoch_is_of_one_store(self, storage: StorageHarness) -> None:
        """Each tenant has its epoch; one restored from a backup has a new one, its entries and their places."""
        await storage.commit(written(change("a"), change("b")))
        await storage.store.fold("north")
        await storage.commit(written(change("a", 2)))
        target = storage.scratch / "changes.backup"
        await storage.store.backup("north", target)
        await storage.store.restore("copy", target)
        await storage.commit(written(change("a", 3)), "copy")
        copied = await _all(storage, "copy")
        assert [(place, entry.id, entry.revision) for place, entry in copied] == [
            (1, "a", 1),
            (2, "b", 1),
            (3, "a", 2),
            (4, "a", 3),
        ]
        assert [entry.revision for entry in await _history(storage, "a", "copy")] == [3, 2, 1]
        await storage.store.remove("north")
        await storage.store.restore("north", target)
        epochs = [(await storage.store.changes(tenant, None)).epoch for tenant in ("north", "south", "copy")]
        assert len(set(epochs)) == 3
        assert all(re.fullmatch("[0-9a-z]{1,32}", epoch) for epoch in epochs)
        await storage.power_cut()
        assert [(await storage.store.changes(tenant, None)).epoch for tenant in ("north", "south", "copy")] == epochs

    async def test_history_of_a_record(self, storage: StorageHarness) -> None:
        """A history has the entries of that record alone, newest first, from memory and from files, in any pages."""
        for number in range(1, 8):
            await storage.commit(written(change("a", number), change("b", number)))
            if number in {3, 5}:
                await storage.store.fold("north")
        await storage.commit(Unit(now=NOW, changes=(ChangeEntry(event=SYNC_APPLIED, at=change("a").at, data={}),)))
        for limit in (1, 2, 3, 50):
            assert await _history(storage, "a", limit=limit) == [change("a", number) for number in range(7, 0, -1)]
        assert await storage.store.history("north", "others", "a") == ()
        assert await _history(storage, "unknown") == []

    async def test_history_follows_a_moved_record(self, storage: StorageHarness) -> None:
        """A record keeps its history when its document moves to another collection and back."""
        await storage.commit(written(change("a")))
        moved = msgspec.structs.replace(put("a", collection="old"), moved_at=1)
        entry = change("a", 2, change="archived", changes=())
        await storage.commit(Unit(now=NOW, deletes=(Delete("notes", "a"),), puts=(moved,), changes=(entry,)))
        await storage.store.fold("north")
        back = msgspec.structs.replace(put("a"), moved_at=2)
        entry = change("a", 3, change="restored", changes=())
        await storage.commit(Unit(now=NOW, deletes=(Delete("old", "a"),), puts=(back,), changes=(entry,)))
        assert [each.change for each in await _history(storage, "a")] == ["restored", "archived", "created"]

    async def test_an_erased_record_is_gone_from_the_log(self, storage: StorageHarness) -> None:
        """After an erase no entry from before says more than what happened when; history and evidence are empty.

        So it stays after a fold, a power cut, and in a backup; other records keep theirs. After the fold no file of the
        tenant contains what the record, its entries and its evidence said.
        """
        answer = Claim("idempotency", "k", b'"Ada Lovelace"', NOW + DAY, subject="a")
        other = Claim("idempotency", "o", b'"Bob"', NOW + DAY, subject="b")
        await storage.commit(written(change("a"), change("b"), claims=(answer, other)))
        await storage.store.fold("north")
        await storage.put(put("a", {"name": "Ada Lovelace"}, {"words": ("ada", "lovelace")}))
        await storage.commit(written(change("b", 2), change("a", 2)))
        erased = change("a", 3, change="erased", external_id=None, changes=())
        await storage.commit(Unit(now=NOW, deletes=(Delete("notes", "a"),), changes=(erased,)))
        await self._check_erased(storage, "north")
        target = storage.scratch / "erased.backup"
        await storage.store.backup("north", target)
        await storage.store.restore("copy", target)
        await self._check_erased(storage, "copy")
        await storage.store.fold("north")
        await self._check_erased(storage, "north")
        await storage.power_cut()
        await self._check_erased(storage, "north")
        assert await storage.store.check("north") == ()
        for text in (b"Lovelace", b"lovelace", b"own-a", b"request-a-1", b"request-a-2", b"a 1"):
            assert not storage.files_contain("north", text), f"{text!r} must be gone from the tenant's files"

    async def _check_erased(self, storage: StorageHarness, tenant: str) -> None:
        found = [entry for _, entry in await _all(storage, tenant)]
        assert found[1:3] == [change("b"), change("b", 2)]
        for entry, revision in ((found[0], 1), (found[3], 2)):
            assert (entry.type, entry.id, entry.revision, entry.at) == ("notes", "a", revision, change("a").at)
            assert (entry.external_id, entry.actor, entry.request_id, entry.changes) == (None, None, None, ())
        assert (found[4].change, found[4].actor, found[4].request_id) == ("erased", "user:1", "request-a-3")
        assert await _history(storage, "a", tenant) == []
        assert await _history(storage, "b", tenant) == [change("b", 2), change("b")]
        assert await storage.store.claim(tenant, "idempotency", "k") == b"null"
        assert await storage.store.claim(tenant, "idempotency", "o") == b'"Bob"'

    async def test_old_changes_are_dropped(self, storage: StorageHarness) -> None:
        """Past ``changes_keep_days`` entries may go: a place before the oldest is not known, newer ones stay."""
        storage.context = msgspec.structs.replace(storage.context, changes_keep_days=30)
        await storage.reopen()
        for first in range(1, 5001, 500):
            await storage.commit(written(*(change(f"n{number}") for number in range(first, first + 500))))
        await storage.store.fold("north")
        for days in (29, 31):
            now = NOW + days * DAY
            await storage.commit(written(change(f"later-{days}", now=now), now=now))
            await storage.store.fold("north")
            page = await storage.store.changes("north", None)
            if days == 29:
                assert page.oldest == 0
        oldest = page.oldest
        assert 0 < oldest < 5001, "a fold must drop entries that are older, and none that are younger"
        assert (await storage.store.changes("north", oldest - 1)).entries is None
        assert [place for place, _ in await _all(storage, after=oldest)] == list(range(oldest + 1, 5003))
        assert await _history(storage, "n1") == []
        await storage.power_cut()
        assert (await storage.store.changes("north", None)).oldest == oldest

"""Suite cases about what lasts: restarts, power cuts, folds, copies, names, event streams."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from crm_core.errors import SetupError, UnknownTenant
from crm_core.plugin.storage import Claim, EntryQuery, Notice, StoreState, Unit
from crm_core.testing.storage_harness import NOW, StorageHarness, entry, put


async def _told(storage: StorageHarness) -> Unit:
    unit = Unit(
        now=NOW,
        claims=(Claim("nonce", "n", b'{"e":1}'),),
        puts=(put("a", {"v": 1}, {"k": "v"}), put("branding", collection="sections")),
        entries=(entry(1),),
        revises=True,
    )
    await storage.commit(unit)
    return unit


async def _is_there(storage: StorageHarness, tenant: str = "north") -> None:
    store = storage.store
    read = await store.get(tenant, "notes", "a")
    assert read.document is not None
    assert (read.document.body, read.document.revision, read.revision) == (b'{"v":1}', 1, 1)
    assert (await store.find(tenant, "notes", "k", "v")).document == read.document
    assert await store.claim(tenant, "nonce", "n") == b'{"e":1}'
    assert [each.id for each in await store.entries(tenant, EntryQuery())] == [entry(1).id]
    assert (await store.verify(tenant)).problems == ()
    view = await store.view(tenant, None)
    assert (view.seq, view.revision) == (1, 1)


class LifeCases:
    """Durability, copies, names and notices."""

    async def test_outlives_restart(self, storage: StorageHarness) -> None:
        """Everything a unit wrote is there after a restart, and numbering goes on."""
        await _told(storage)
        await storage.reopen()
        await _is_there(storage)
        assert (await storage.put(put("b"))).seq == 2

    async def test_outlives_power_cut(self, storage: StorageHarness) -> None:
        """Everything is there after a power cut the moment the commit has answered."""
        await _told(storage)
        await storage.power_cut()
        await _is_there(storage)

    async def test_tenant_outlives_power_cut(self, storage: StorageHarness) -> None:
        """A tenant that was made is there after a power cut."""
        await storage.store.create("east")
        store = await storage.power_cut()
        assert await store.tenants() == ["east", "north", "south"]
        await storage.put(put("a"), tenant="east")

    async def test_fold_changes_nothing(self, storage: StorageHarness) -> None:
        """A fold, and another with nothing to do, leave everything as it was, also through a power cut."""
        await _told(storage)
        await storage.store.fold("north")
        await storage.store.fold("north")
        await _is_there(storage)
        await storage.power_cut()
        await _is_there(storage)

    async def test_odd_names_outlive_fold(self, storage: StorageHarness) -> None:
        """Collections, ids, index names and values may hold any text; a fold and a restart bring them back as is."""
        names = ["a:b", 'quo"te', "line\nfeed", "\u00e4\U0001f600", "{", "}", "1", "back\\slash", " "]
        for name in names:
            await storage.put(put(name, {"text": name}, {name: name, "tags": (name, "x")}, collection=name))
        await storage.store.fold("north")
        store = await storage.reopen()
        for name in names:
            read = await store.find("north", name, name, name)
            assert read.document is not None
            assert (read.document.id, read.document.collection) == (name, name)
            assert msgspec.json.decode(read.document.body) == {"text": name}
            assert (await store.find("north", name, "tags", name)).document == read.document

    async def test_writes_during_fold(self, storage: StorageHarness) -> None:
        """Units committed while a fold is under way are kept."""
        await storage.put(*(put(f"n{number}") for number in range(300)))
        fold = asyncio.create_task(storage.store.fold("north"))
        for number in range(20):
            await storage.put(put(f"m{number}"))
        await fold
        assert await storage.store.count("north", "notes") == 320
        store = await storage.power_cut()
        assert await store.count("north", "notes") == 320
        assert await store.check("north") == ()

    async def test_create(self, storage: StorageHarness) -> None:
        """A new tenant is empty and known; one that exists is refused."""
        store = storage.store
        await store.create("east")
        assert await store.has("east")
        assert await store.tenants() == ["east", "north", "south"]
        assert (await store.view("east", None)).documents == ()
        with pytest.raises(SetupError):
            await store.create("north")

    async def test_rename(self, storage: StorageHarness) -> None:
        """A renamed tenant has everything under its new name, also after a restart; the old name is unknown."""
        await _told(storage)
        await storage.store.rename("north", "west")
        with pytest.raises(UnknownTenant):
            await storage.store.view("north", None)
        await _is_there(storage, "west")
        await storage.reopen()
        await _is_there(storage, "west")
        with pytest.raises(SetupError):
            await storage.store.rename("west", "south")

    async def test_backup_and_restore(self, storage: StorageHarness) -> None:
        """A backup restores to the same tenant; a live tenant, an existing target and a cut file are refused."""
        await _told(storage)
        storage.store.note("north", entry(2, signature_result="invalid"))
        target = storage.scratch / "north.backup"
        await storage.store.backup("north", target)
        await storage.put(put("later"))
        await storage.store.restore("copy", target)
        ring = await storage.store.entries("copy", EntryQuery(verified=False))
        assert [each.id for each in ring] == [entry(2).id]
        assert (await storage.store.get("copy", "notes", "later")).document is None
        assert (await storage.store.view("copy", None)).seq == 1
        assert (await storage.store.verify("copy")).problems == ()
        await storage.put(put("b"), tenant="copy")
        with pytest.raises(SetupError):
            await storage.store.restore("north", target)
        with pytest.raises(SetupError):
            await storage.store.backup("north", target)
        await storage.power_cut()
        assert await storage.store.count("copy", "notes") == 2

    async def test_healthy(self, storage: StorageHarness) -> None:
        """A store that nothing has happened to takes writes and has nothing to tell."""
        await _told(storage)
        assert await storage.store.state("north") == StoreState()
        assert await storage.store.check("north") == ()

    async def test_notices(self, storage: StorageHarness) -> None:
        """Notices carry the seq of their unit, oldest first; units without any are passed over."""
        for number in range(3):
            notice = Notice("record.changed", "notes", b'{"n":%d}' % number)
            await storage.commit(Unit(now=NOW, notices=(notice, notice) if number == 1 else (notice,)))
            await storage.put(put("a"))
        told = await storage.store.notices("north", 1)
        assert told is not None
        assert [(each.seq, each.notice.data) for each in told] == [(3, b'{"n":1}'), (3, b'{"n":1}'), (5, b'{"n":2}')]
        assert await storage.store.notices("north", 6) == ()
        first = await storage.store.notices("north", 0, 1)
        assert first is not None
        assert [each.seq for each in first] == [1]

    async def test_notices_of_a_unit_come_together(self, storage: StorageHarness) -> None:
        """A limit never splits the notices of a unit, which keep their order: a reader counts them."""
        for number in (1, 2):
            notices = tuple(Notice("e", "s", b"%d" % (number * 10 + at)) for at in range(5))
            await storage.commit(Unit(now=NOW, notices=notices))
        found = await storage.store.notices("north", 0, 6)
        assert found is not None
        assert [each.notice.data for each in found] == [b"%d" % at for at in (*range(10, 15), *range(20, 25))]

    async def test_refused_unit_tells_nobody(self, storage: StorageHarness) -> None:
        """A unit in conflict sends no notice."""
        await storage.commit(Unit(now=NOW, claims=(Claim("k", "a", b"1"),)))
        again = Unit(now=NOW, claims=(Claim("k", "a", b"1"),), notices=(Notice("e", "s", b"{}"),))
        await storage.store.commit("north", again)
        assert await storage.store.notices("north", 0) == ()

    async def test_wait(self, storage: StorageHarness) -> None:
        """A waiter is woken by the next unit of its tenant, and at once where there is one already."""
        waiter = asyncio.create_task(storage.store.wait("north", 0))
        await asyncio.sleep(0.05)
        await storage.put(put("a"), tenant="south")
        assert not waiter.done()
        await storage.put(put("a"))
        await asyncio.wait_for(waiter, 5)
        await asyncio.wait_for(storage.store.wait("north", 0), 5)

"""Suite cases about durability: restarts, power cuts, folds, backups, renames."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from crm_core.errors import SetupError, UnknownTenant
from crm_core.plugin.storage import Claim, Conflict, EntryQuery, StoreState, Unit
from crm_core.testing.promises import Suite
from crm_core.testing.storage_harness import NOW, StorageHarness, entry, put


async def _commit_all_parts(storage: StorageHarness) -> None:
    unit = Unit(
        now=NOW,
        claims=(Claim("nonce", "n", b'{"e":1}'),),
        puts=(put("a", {"v": 1}, {"k": "v"}), put("branding", collection="sections")),
        entries=(entry(1),),
        revises=True,
    )
    await storage.commit(unit)


async def _check_all_parts(storage: StorageHarness, tenant: str = "north") -> None:
    store = storage.store
    document = (await store.get(tenant, "notes", "a")).document
    assert document is not None, "the document of an answered unit must be there"
    assert (document.body, document.revision) == (b'{"v":1}', 1), "the document must be as it was put, at revision 1"
    assert await storage.found("k", "v", tenant) == document
    evidence = await store.claim(tenant, "nonce", "n")
    assert evidence == b'{"e":1}', "the claim must be there with its evidence, or a push could be replayed"
    chained = await store.entries(tenant, EntryQuery(verified=True))
    assert [each.id for each in chained] == [entry(1).id], "the log entry must be there"
    assert (await store.verify(tenant)).problems == ()
    view = await store.view(tenant, None)
    assert (view.seq, view.revision) == (1, 1), "the counters must be those after the unit"


class DurabilityCases(Suite):
    """Durability, backups and renames."""

    async def test_survives_restart(self, storage: StorageHarness) -> None:
        """All parts of a unit survive a restart, and numbering continues."""
        await _commit_all_parts(storage)
        await storage.reopen()
        await _check_all_parts(storage)
        assert (await storage.put(put("b"))).seq == 2

    async def test_survives_power_cut(self, storage: StorageHarness) -> None:
        """All parts of an answered unit survive a power cut."""
        await _commit_all_parts(storage)
        await storage.power_cut()
        await _check_all_parts(storage)

    async def test_survives_kill(self, storage: StorageHarness) -> None:
        """All parts of an answered unit survive kill -9: ``commit`` returns once they are durable."""
        await _commit_all_parts(storage)
        await storage.kill()
        await _check_all_parts(storage)
        assert (await storage.put(put("b"))).seq == 2

    async def test_new_tenant_survives_power_cut(self, storage: StorageHarness) -> None:
        """A created tenant survives a power cut."""
        await storage.store.create("east")
        store = await storage.power_cut()
        assert await store.tenants() == ["east", "north", "south"]
        assert await store.count_tenants() == 3
        await storage.put(put("a"), tenant="east")

    async def test_fold_changes_nothing(self, storage: StorageHarness) -> None:
        """A fold, and another with nothing to fold, change no content, also after a power cut."""
        await _commit_all_parts(storage)
        await storage.store.fold("north")
        await storage.store.fold("north")
        await _check_all_parts(storage)
        await storage.power_cut()
        await _check_all_parts(storage)

    async def test_odd_names_survive_fold(self, storage: StorageHarness) -> None:
        """Any text in collections, ids, index names and values survives a fold and a restart."""
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
        """Units committed during a fold survive it and a power cut."""
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
        """A created tenant exists and is empty; creating it again is refused."""
        store = storage.store
        await store.create("east")
        assert await store.has("east")
        assert await store.tenants() == ["east", "north", "south"]
        assert (await store.view("east", None)).documents == ()
        with pytest.raises(SetupError):
            await store.create("north")

    async def test_rename(self, storage: StorageHarness) -> None:
        """A renamed tenant has all its content under the new name, also after a restart; the old name is unknown."""
        await _commit_all_parts(storage)
        await storage.store.rename("north", "west")
        with pytest.raises(UnknownTenant):
            await storage.store.view("north", None)
        await _check_all_parts(storage, "west")
        await storage.reopen()
        await _check_all_parts(storage, "west")
        with pytest.raises(SetupError):
            await storage.store.rename("west", "south")

    async def test_remove(self, storage: StorageHarness) -> None:
        """A removed tenant is unknown, also after a restart; one created under its name is empty."""
        await _commit_all_parts(storage)
        await storage.store.remove("north")
        for _ in range(2):
            assert await storage.store.tenants() == ["south"]
            with pytest.raises(UnknownTenant):
                await storage.store.view("north", None)
            with pytest.raises(UnknownTenant):
                await storage.store.remove("north")
            await storage.reopen()
        await storage.store.create("north")
        view = await storage.store.view("north", None)
        assert (view.revision, view.seq, view.documents) == (0, 0, ())
        assert await storage.store.claim("north", "nonce", "a") is None

    async def test_backup_and_restore(self, storage: StorageHarness) -> None:
        """A backup restores to an equal tenant; restoring over a tenant and backing up over a file are refused."""
        await _commit_all_parts(storage)
        storage.store.note("north", entry(2, signature_result="invalid"))
        target = storage.scratch / "north.backup"
        await storage.store.backup("north", target)
        await storage.put(put("later"))
        await storage.store.restore("copy", target)
        await _check_all_parts(storage, "copy")
        ring = await storage.store.entries("copy", EntryQuery(verified=False))
        assert [each.id for each in ring] == [entry(2).id]
        assert (await storage.store.get("copy", "notes", "later")).document is None
        await storage.put(put("b"), tenant="copy")
        with pytest.raises(SetupError):
            await storage.store.restore("north", target)
        with pytest.raises(SetupError):
            await storage.store.backup("north", target)
        await storage.power_cut()
        assert await storage.store.count("copy", "notes") == 2

    async def test_a_backup_has_the_claims(self, storage: StorageHarness) -> None:
        """Claims and forgotten stamps are restored: without them a push from before the backup could be replayed."""
        old, new = Claim("nonce", "old", b"1", NOW + 10, NOW), Claim("nonce", "new", b'{"e":1}', NOW + 99, NOW + 20)
        await storage.commit(Unit(now=NOW, claims=(old,)))
        await storage.commit(Unit(now=NOW + 20, claims=(new, Claim("hash", "h", b"2"))))
        await storage.store.backup("north", storage.scratch / "claims.backup")
        await storage.store.restore("copy", storage.scratch / "claims.backup")
        for claim in (new, Claim("hash", "h", b"2")):
            evidence = await storage.store.claim("copy", claim.kind, claim.key)
            assert evidence == claim.evidence, f"the backup must have the claim {claim.key} with its evidence"
        outcome = await storage.store.commit("copy", Unit(now=NOW + 20, claims=(old,)))
        message = "a claim that was forgotten before the backup must be refused after the restore too"
        assert isinstance(outcome, Conflict), message
        assert outcome.what == "forgotten", message

    async def test_healthy(self, storage: StorageHarness) -> None:
        """A healthy store accepts writes and has no problems."""
        await _commit_all_parts(storage)
        assert await storage.store.state("north") == StoreState()
        assert await storage.store.check("north") == ()

    async def test_wait(self, storage: StorageHarness) -> None:
        """A waiter is woken by its tenant's next unit, and immediately if the unit exists already."""
        waiter = asyncio.create_task(storage.store.wait("north", 0))
        await asyncio.sleep(0.05)
        await storage.put(put("a"), tenant="south")
        assert not waiter.done()
        await storage.put(put("a"))
        await asyncio.wait_for(waiter, 5)
        await asyncio.wait_for(storage.store.wait("north", 0), 5)

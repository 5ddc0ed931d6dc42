"""Suite cases about copies of a tenant to another backend, and the mark of a store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from crm_core.errors import SetupError
from crm_core.model.change_log import RECORD_CHANGED, ChangeEntry
from crm_core.plugin.storage import (
    Claim,
    Delete,
    DumpHead,
    EntryQuery,
    IndexedDocument,
    IndexValue,
    Part,
    StorageBackend,
    StoredChange,
    Unit,
)
from crm_core.testing.promises import Suite
from crm_core.testing.storage_harness import NOW, StorageHarness, entry, put


async def _fill(storage: StorageHarness) -> None:
    """Units with every part, a claim that was forgotten, and a record that was erased."""
    indexes: dict[str, IndexValue] = {
        "name": "Ada",
        "age": 36,
        "open": True,
        "none": None,
        "words": ("ada", "lovelace"),
    }
    change = partial(ChangeEntry, event=RECORD_CHANGED, type="notes", id="a", at="2027-01-15T08:00:00Z")
    await storage.commit(
        Unit(
            now=NOW,
            claims=(Claim("nonce", "old", b'{"e":1}', NOW + 5, NOW), Claim("token", "t", b'{"s": "a"}', subject="a")),
            puts=(put("b", {"n": "Ad\u00e4"}, indexes), put("c"), put("branding", collection="sections")),
            entries=(entry(1), entry(2, status="rejected")),
            changes=(change(revision=1, change="created", external_id="x"),),
            revises=True,
        )
    )
    await storage.commit(
        Unit(
            now=NOW + 10,
            claims=(Claim("nonce", "new", b"{}", NOW + 400, NOW + 10),),
            puts=(put("b", {"n": "Ada"}, indexes),),
            deletes=(Delete("notes", "c"),),
            entries=(entry(3),),
            changes=(change(revision=2, change="erased", actor="ada"),),
        )
    )
    storage.store.note("north", entry(4, signature_result="invalid"))


async def _parts(store: StorageBackend, tenant: str) -> list[Part]:
    return [part async for part in store.dump(tenant)]


class CopyCases(Suite):
    """Dumps, loads and marks."""

    async def test_dump_has_everything_in_order(self, storage: StorageHarness) -> None:
        """A dump begins with its head and has the parts of each kind in order, nothing of an erased record."""
        await _fill(storage)
        head, *parts = await _parts(storage.store, "north")
        assert isinstance(head, DumpHead)
        assert (head.seq, head.revision, head.head.seq, head.anchor.seq, head.newest) == (2, 1, 3, 0, 2)
        assert head.forgotten == {"nonce": NOW}
        documents = [part.document for part in parts if isinstance(part, IndexedDocument)]
        assert [(each.collection, each.id, each.revision) for each in documents] == [
            ("notes", "b", 2),
            ("sections", "branding", 1),
        ]
        claims = [part for part in parts if isinstance(part, Claim)]
        assert [(claim.key, claim.evidence) for claim in claims] == [("new", b"{}"), ("t", b"null")]
        names = [type(part).__name__ for part in parts]
        assert names == [*["IndexedDocument"] * 2, *["Claim"] * 2, *["LogEntry"] * 4, *["StoredChange"] * 2]
        changes = [part.entry for part in parts if isinstance(part, StoredChange)]
        assert [(change.change, change.external_id) for change in changes] == [("created", None), ("erased", None)]

    async def test_load_makes_an_equal_tenant(self, storage: StorageHarness) -> None:
        """A tenant that is made of a dump has the same dump, also after a power cut, and continues its numbers."""
        await _fill(storage)
        parts = await _parts(storage.store, "north")
        await storage.store.load("copy", storage.store.dump("north"))
        assert await _parts(storage.store, "copy") == parts
        store = await storage.power_cut()
        assert await _parts(store, "copy") == parts
        assert await storage.found("words", "lovelace", "copy") == await storage.document("b", "copy")
        assert (await store.verify("copy")).problems == ()
        assert (await store.verify("copy")).head == (await store.verify("north")).head
        assert len(await store.entries("copy", EntryQuery(verified=False))) == 1
        assert (await store.changes("copy", 0)).epoch == (await store.changes("north", 0)).epoch
        assert await store.history("copy", "notes", "a") == ()
        done = await storage.commit(Unit(now=NOW + 20, puts=(put("b"),), entries=(entry(5),)), "copy")
        assert (done.seq, done.head.seq, done.documents) == (3, 4, (3,))

    async def test_load_that_breaks_leaves_nothing(self, storage: StorageHarness) -> None:
        """A load whose source fails makes no tenant; one over a tenant is refused and changes nothing."""
        await _fill(storage)

        async def broken() -> AsyncIterator[Part]:
            async for part in storage.store.dump("north"):
                yield part
            raise SetupError(["the source is gone"])

        with pytest.raises(SetupError, match="the source is gone"):
            await storage.store.load("copy", broken())
        assert await storage.store.tenants() == ["north", "south"]
        with pytest.raises(SetupError):
            await storage.store.load("south", storage.store.dump("north"))
        assert (await storage.store.view("south", None)).seq == 0
        await storage.store.load("copy", storage.store.dump("north"))

    async def test_mark(self, storage: StorageHarness) -> None:
        """A store has no mark until one is set; it survives a power cut, is no tenant, and an empty one deletes it."""
        assert await storage.store.mark() == b""
        await storage.store.set_mark(b'{"a": 1}')
        store = await storage.power_cut()
        assert await store.mark() == b'{"a": 1}'
        assert await store.tenants() == ["north", "south"]
        await store.set_mark(b"")
        assert await (await storage.power_cut()).mark() == b""

    async def test_alive(self, storage: StorageHarness) -> None:
        """A process is among those that serve the store for a while, and no longer once it says so."""
        assert await storage.store.alive("", 0) == frozenset()
        assert "a" in await storage.store.alive("a", 60)
        others = await storage.store.alive("b", 60)
        assert "b" in others
        assert others == {"b"} if storage.store.EXCLUSIVE else others == {"a", "b"}
        await storage.store.alive("a", 0)
        assert await storage.store.alive("b", 0) == frozenset()

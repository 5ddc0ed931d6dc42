"""Suite cases about documents, expectations and isolation."""

from __future__ import annotations

import asyncio

import pytest

from crm_core.errors import StorageUnavailable, UnknownTenant
from crm_core.plugin.storage import (
    Committed,
    CountBelow,
    Delete,
    DocumentAt,
    DocumentExists,
    IndexFree,
    PageQuery,
    Put,
    Unit,
    WorkspaceAt,
)
from crm_core.testing.promises import Suite
from crm_core.testing.storage_harness import NOW, StorageHarness, put


class DocumentCases(Suite):
    """Documents, revisions and expectations."""

    async def test_put_and_get(self, storage: StorageHarness) -> None:
        """A put document is read byte for byte, at revision 1."""
        done = await storage.put(Put("notes", "a", b'{"x":1.50,"y":"\xc3\xa9"}'))
        assert (done.seq, done.revision, done.documents) == (1, 0, (1,))
        document = await storage.document("a")
        assert (document.body, document.revision) == (b'{"x":1.50,"y":"\xc3\xa9"}', 1)
        assert (document.collection, document.id) == ("notes", "a")
        assert (await storage.store.get("north", "notes", "a")).revision == 0

    async def test_absent(self, storage: StorageHarness) -> None:
        """A document that was never put is None, in any collection."""
        assert (await storage.store.get("north", "nothing", "a")).document is None
        assert (await storage.store.find("north", "nothing", "name", "a")).document is None
        assert await storage.store.count("north", "nothing") == 0

    async def test_revisions_count_puts(self, storage: StorageHarness) -> None:
        """Each put of a document increases its revision by one."""
        await storage.put(put("a"))
        done = await storage.put(put("b"), put("a", {"v": 2}))
        assert done.documents == (1, 2)
        assert done.seq == 2

    async def test_a_moved_document_continues_its_revisions(self, storage: StorageHarness) -> None:
        """A document put into another collection has the revision after ``moved_at``, and is counted there."""
        await storage.put(put("a"))
        await storage.put(put("a"))
        moved = Put("attic", "a", b"{}", moved_at=2)
        done = await storage.commit(Unit(now=NOW, deletes=(Delete("notes", "a"),), puts=(moved,)))
        assert done.documents == (3,)
        assert (await storage.store.get("north", "notes", "a")).document is None
        assert await storage.store.count("north", "attic") == 1
        limit = CountBelow("attic", 1)
        full = Unit(now=NOW, expect=(limit,), puts=(Put("attic", "b", b"{}", moved_at=5),))
        await storage.refused(full, "count")

    async def test_delete(self, storage: StorageHarness) -> None:
        """A deleted document is gone from reads, indexes and counts; deleting one that does not exist is no error."""
        await storage.put(put("a", indexes={"name": "x"}), put("b", indexes={"name": "x"}))
        await storage.commit(Unit(now=NOW, deletes=(Delete("notes", "a"), Delete("notes", "absent"))))
        assert (await storage.store.get("north", "notes", "a")).document is None
        assert (await storage.found("name", "x")).id == "b"
        assert await storage.store.count("north", "notes") == 1

    async def test_find_lowest_id(self, storage: StorageHarness) -> None:
        """Of several documents with a value the lowest id is found; tuples match by any of their values."""
        await storage.put(
            put("b", indexes={"k": "v"}), put("a", indexes={"k": "v"}), put("c", indexes={"k": ("p", "q")})
        )
        for value, expected in (("v", "a"), ("q", "c")):
            assert (await storage.found("k", value)).id == expected

    async def test_index_follows_puts(self, storage: StorageHarness) -> None:
        """A document is found only by the values of its newest put."""
        await storage.put(put("a", indexes={"k": "old", "t": ("x", "y")}))
        await storage.put(put("a", indexes={"k": "new", "t": ("y", "z")}))
        assert (await storage.store.find("north", "notes", "k", "old")).document is None
        assert (await storage.store.find("north", "notes", "t", "x")).document is None
        assert (await storage.store.find("north", "notes", "k", "new")).document is not None
        assert (await storage.store.find("north", "notes", "t", "z")).document is not None

    async def test_kinds_of_values(self, storage: StorageHarness) -> None:
        """Values of different types differ: true and 1, false and 0, 1 and "1", and null."""
        await storage.put(
            put("a", indexes={"k": True}), put("b", indexes={"k": 1}), put("c", indexes={"k": None}),
            put("d", indexes={"k": "1"}), put("e", indexes={"k": False}), put("f", indexes={"k": 0}),
        )  # fmt: skip
        for value, expected in ((True, "a"), (1, "b"), (None, "c"), ("1", "d"), (False, "e"), (0, "f")):
            assert (await storage.found("k", value)).id == expected

    async def test_document_expectation(self, storage: StorageHarness) -> None:
        """A document at another revision, or one that should not exist, is a conflict with the expectation."""
        await storage.put(put("a"))
        for revision in (0, 2):
            expected = DocumentAt("notes", "a", revision)
            conflict = await storage.refused(Unit(now=NOW, expect=(expected,), puts=(put("a"),)), "document")
            assert conflict.expectation == expected
        await storage.commit(Unit(now=NOW, expect=(DocumentAt("notes", "a", 1),), puts=(put("a"),)))

    async def test_existence_expectation(self, storage: StorageHarness) -> None:
        """A document that must exist may have any revision; one that was deleted, or is elsewhere, is a conflict."""
        await storage.put(put("a"))
        await storage.put(put("a"))
        there = DocumentExists("notes", "a")
        await storage.commit(Unit(now=NOW, expect=(there,), puts=(put("b"),)))
        await storage.refused(Unit(now=NOW, expect=(DocumentExists("attic", "a"),), puts=(put("c"),)), "document")
        await storage.commit(Unit(now=NOW, deletes=(Delete("notes", "a"),)))
        conflict = await storage.refused(Unit(now=NOW, expect=(there,), puts=(put("c"),)), "document")
        assert conflict.expectation == there

    async def test_index_expectation(self, storage: StorageHarness) -> None:
        """An index value of another document is a conflict; the document's own value is not."""
        await storage.put(put("a", indexes={"email": "x"}))
        await storage.refused(Unit(now=NOW, expect=(IndexFree("notes", "email", "x", "b"),)), "index")
        await storage.commit(Unit(now=NOW, expect=(IndexFree("notes", "email", "x", "a"),)))

    async def test_index_expectation_of_a_unit_that_deletes(self, storage: StorageHarness) -> None:
        """Documents that the unit deletes may have the value; one more in the collection is a conflict."""
        for id_ in ("a", "b"):
            await storage.put(put(id_, indexes={"email": "x"}))
        await storage.put(put("a", collection="attic"))
        free, gone = IndexFree("notes", "email", "x", ""), (Delete("notes", "a"), Delete("notes", "b"))
        await storage.refused(Unit(now=NOW, expect=(free,), deletes=gone[:1]), "index")
        await storage.refused(Unit(now=NOW, expect=(free,), deletes=(gone[0], Delete("attic", "b"))), "index")
        await storage.commit(Unit(now=NOW, expect=(free,), deletes=gone))

    async def test_count_expectation(self, storage: StorageHarness) -> None:
        """A collection may reach its limit but not exceed it; rewriting a document adds nothing."""
        await storage.put(put("a"))
        limit = CountBelow("notes", 2)
        await storage.commit(Unit(now=NOW, expect=(limit,), puts=(put("b"),)))
        await storage.refused(Unit(now=NOW, expect=(limit,), puts=(put("c"),)), "count")
        await storage.commit(Unit(now=NOW, expect=(limit,), puts=(put("b"),)))
        swap = Unit(now=NOW, expect=(limit,), puts=(put("c"),), deletes=(Delete("notes", "a"),))
        await storage.commit(swap)

    async def test_workspace_revision(self, storage: StorageHarness) -> None:
        """A unit that revises increases the workspace revision; expecting another revision is a conflict."""
        first = await storage.commit(Unit(now=NOW, expect=(WorkspaceAt(0),), revises=True))
        assert first.revision == 1
        await storage.refused(Unit(now=NOW, expect=(WorkspaceAt(0),), revises=True), "workspace")
        assert (await storage.put(put("a"))).revision == 1

    async def test_workspace_epoch(self, storage: StorageHarness) -> None:
        """A view has the epoch of the change log; a unit that expects the workspace of another epoch is a conflict."""
        epoch = (await storage.store.view("north", None)).epoch
        assert epoch == (await storage.store.changes("north", None)).epoch
        unit = Unit(now=NOW, expect=(WorkspaceAt(0, epoch),))
        await storage.commit(unit)
        await storage.store.remove("north")
        await storage.store.create("north")
        await storage.refused(unit, "workspace")
        await storage.refused(Unit(now=NOW, expect=(DocumentAt("notes", "a", 0), WorkspaceAt(0, epoch))), "workspace")

    async def test_conflict_changes_nothing(self, storage: StorageHarness) -> None:
        """A unit in conflict changes nothing."""
        await storage.put(put("a"))
        unit = Unit(now=NOW, expect=(DocumentAt("notes", "b", 7),), puts=(put("b"),), revises=True)
        await storage.refused(unit, "document")
        view = await storage.store.view("north", None)
        assert (view.seq, view.revision) == (1, 0)
        assert await storage.store.count("north", "notes") == 1

    async def test_one_of_many_wins(self, storage: StorageHarness) -> None:
        """Of concurrent units with the same expectation exactly one succeeds."""
        unit = Unit(now=NOW, expect=(DocumentAt("notes", "a", 0),), puts=(put("a"),))
        outcomes = await asyncio.gather(*(storage.store.commit("north", unit) for _ in range(20)))
        assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 1
        assert (await storage.document("a")).revision == 1

    async def test_limits_of_concurrent_units(self, storage: StorageHarness) -> None:
        """Concurrent creates do not exceed a limit together, and only one gets a unique index value."""
        outcomes = await asyncio.gather(
            *(
                storage.store.commit(
                    "north", Unit(now=NOW, expect=(CountBelow("notes", 5),), puts=(put(f"n{number}"),))
                )
                for number in range(20)
            )
        )
        assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 5
        outcomes = await asyncio.gather(
            *(
                storage.store.commit(
                    "north",
                    Unit(
                        now=NOW,
                        expect=(IndexFree("other", "k", "v", f"o{number}"),),
                        puts=(put(f"o{number}", indexes={"k": "v"}, collection="other"),),
                    ),
                )
                for number in range(10)
            )
        )
        assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 1

    async def test_seq_has_no_gaps(self, storage: StorageHarness) -> None:
        """Concurrent units get consecutive numbers."""
        done = await asyncio.gather(*(storage.put(put(f"n{number}")) for number in range(30)))
        assert sorted(each.seq for each in done) == list(range(1, 31))

    async def test_view(self, storage: StorageHarness) -> None:
        """The view has the sections only if the caller has not seen the revision."""
        await storage.commit(Unit(now=NOW, puts=(put("branding", collection="sections"),), revises=True))
        view = await storage.store.view("north", None)
        assert view.documents is not None
        assert [document.id for document in view.documents] == ["branding"]
        assert (await storage.store.view("north", 1)).documents is None
        assert (await storage.store.view("north", 0)).documents is not None

    async def test_results_are_immutable(self, storage: StorageHarness) -> None:
        """Changing what was passed in or returned does not change the store."""
        indexes = {"k": "before"}
        await storage.commit(Unit(now=NOW, puts=(Put("notes", "a", b'{"v":1}', indexes),)))
        indexes["k"] = "after"
        document = await storage.document("a")
        assert isinstance(document.body, bytes), "a body must be bytes, which cannot be changed in place"
        with pytest.raises(AttributeError):
            document.revision = 9  # type: ignore[misc]
        assert (await storage.store.find("north", "notes", "k", "before")).document is not None
        page = await storage.store.page("north", PageQuery(collection="notes", sort="k"))
        assert all(isinstance(document.body, bytes) for document in page.documents)

    async def test_units_that_cannot_be_stored(self, storage: StorageHarness) -> None:
        """A unit that cannot be written is refused whole and changes nothing for later units."""
        wrong = [Put("notes", "a", b"{}", {"k": "\ud800"}), Put("notes", "\udfff", b"{}")]  # not encodable as UTF-8
        for each in wrong:
            with pytest.raises((ValueError, StorageUnavailable)):
                await storage.store.commit("north", Unit(now=NOW, puts=(put("b"), each)))
        assert (await storage.put(put("a"))).seq == 1
        store = await storage.reopen()
        assert await store.count("north", "notes") == 1

    async def test_tenants_are_apart(self, storage: StorageHarness) -> None:
        """No tenant sees another tenant's documents."""
        await storage.put(put("a", indexes={"k": "v"}))
        store = storage.store
        assert (await store.get("south", "notes", "a")).document is None
        assert (await store.find("south", "notes", "k", "v")).document is None
        assert (await store.view("south", None)).seq == 0
        assert [document async for document in store.documents("south", "notes")] == []

    async def test_unknown_tenant(self, storage: StorageHarness) -> None:
        """Reads and commits of an unknown tenant raise UnknownTenant."""
        store = storage.store
        with pytest.raises(UnknownTenant):
            await store.view("absent", None)
        with pytest.raises(UnknownTenant):
            await store.commit("absent", Unit(now=NOW))
        with pytest.raises(UnknownTenant):
            await store.get("absent", "notes", "a")
        assert not await store.has("absent")

    async def test_documents_by_id(self, storage: StorageHarness) -> None:
        """All documents are listed by id, as of the start of the iteration."""
        await storage.put(*(put(f"n{number:03d}") for number in range(250)))
        seen = []
        async for document in storage.store.documents("north", "notes"):
            seen.append(document.id)
            if len(seen) == 1:
                await storage.put(put("n999"), put("n100", {"v": 2}))
        assert seen == [f"n{number:03d}" for number in range(250)]

    async def test_scan(self, storage: StorageHarness) -> None:
        """A scan has the text of each document once; those that are written or deleted meanwhile may be there."""
        written = {f"n{number:04d}": put(f"n{number:04d}", indexes={"k": "v"}) for number in range(1100)}
        for first in range(0, 1100, 500):
            await storage.put(*list(written.values())[first : first + 500])
        expected = {each.body for name, each in written.items() if name not in ("n0000", "n1099")}
        found: list[bytes] = []
        async for some in storage.store.scan("north", "notes"):
            if not found:
                unit = Unit(now=NOW, puts=(put("new"),), deletes=(Delete("notes", "n0000"), Delete("notes", "n1099")))
                await storage.store.commit("north", unit)
            found += some
        assert sorted(body for body in found if body in expected) == sorted(expected)
        assert [some async for some in storage.store.scan("south", "notes") if some] == []

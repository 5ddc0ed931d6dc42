"""Suite cases about documents, expectations and isolation."""

from __future__ import annotations

import asyncio

import pytest

from crm_core.errors import StorageUnavailable, UnknownTenant
from crm_core.plugin.storage import (
    Committed,
    Conflict,
    CountBelow,
    Delete,
    DocumentAt,
    IndexFree,
    PageQuery,
    Put,
    Unit,
    WorkspaceAt,
)
from crm_core.testing.storage_harness import NOW, StorageHarness, put


class DocumentCases:
    """Documents, revisions and expectations."""

    async def test_put_and_get(self, storage: StorageHarness) -> None:
        """What is put can be read, byte for byte, at revision 1."""
        done = await storage.put(Put("notes", "a", b'{"x":1.50,"y":"\xc3\xa9"}'))
        assert (done.seq, done.revision, done.documents) == (1, 0, (1,))
        read = await storage.store.get("north", "notes", "a")
        assert read.document is not None
        assert (read.document.body, read.document.revision) == (b'{"x":1.50,"y":"\xc3\xa9"}', 1)
        assert (read.document.collection, read.document.id, read.revision) == ("notes", "a", 0)

    async def test_absent(self, storage: StorageHarness) -> None:
        """A document that nobody put is None, in any collection."""
        assert (await storage.store.get("north", "nothing", "a")).document is None
        assert (await storage.store.find("north", "nothing", "name", "a")).document is None
        assert await storage.store.count("north", "nothing") == 0

    async def test_revisions_count_puts(self, storage: StorageHarness) -> None:
        """Each put of a document counts its revision up by one."""
        await storage.put(put("a"))
        done = await storage.put(put("b"), put("a", {"v": 2}))
        assert done.documents == (1, 2)
        assert done.seq == 2

    async def test_delete(self, storage: StorageHarness) -> None:
        """A deleted document is gone from reads, indexes and counts; deleting nothing is no error."""
        await storage.put(put("a", indexes={"name": "x"}), put("b", indexes={"name": "x"}))
        await storage.commit(Unit(now=NOW, deletes=(Delete("notes", "a"), Delete("notes", "nobody"))))
        assert (await storage.store.get("north", "notes", "a")).document is None
        found = (await storage.store.find("north", "notes", "name", "x")).document
        assert found is not None
        assert found.id == "b"
        assert await storage.store.count("north", "notes") == 1

    async def test_find_lowest_id(self, storage: StorageHarness) -> None:
        """Of several documents with a value the one with the lowest id is found; tuples match any value."""
        await storage.put(
            put("b", indexes={"k": "v"}), put("a", indexes={"k": "v"}), put("c", indexes={"k": ("p", "q")})
        )
        for value, expected in (("v", "a"), ("q", "c")):
            found = (await storage.store.find("north", "notes", "k", value)).document
            assert found is not None
            assert found.id == expected

    async def test_index_follows_puts(self, storage: StorageHarness) -> None:
        """A document is found by the values of its newest put only."""
        await storage.put(put("a", indexes={"k": "old", "t": ("x", "y")}))
        await storage.put(put("a", indexes={"k": "new", "t": ("y", "z")}))
        assert (await storage.store.find("north", "notes", "k", "old")).document is None
        assert (await storage.store.find("north", "notes", "t", "x")).document is None
        assert (await storage.store.find("north", "notes", "k", "new")).document is not None
        assert (await storage.store.find("north", "notes", "t", "z")).document is not None

    async def test_kinds_of_values(self, storage: StorageHarness) -> None:
        """True is not 1, false not 0, and null is not a missing text."""
        await storage.put(
            put("a", indexes={"k": True}), put("b", indexes={"k": 1}), put("c", indexes={"k": None}),
            put("d", indexes={"k": "1"}), put("e", indexes={"k": False}), put("f", indexes={"k": 0}),
        )  # fmt: skip
        for value, expected in ((True, "a"), (1, "b"), (None, "c"), ("1", "d"), (False, "e"), (0, "f")):
            found = (await storage.store.find("north", "notes", "k", value)).document
            assert found is not None
            assert found.id == expected

    async def test_document_expectation(self, storage: StorageHarness) -> None:
        """A document at another revision, or there where it should be absent, is a conflict that names it."""
        await storage.put(put("a"))
        for revision in (0, 2):
            expected = DocumentAt("notes", "a", revision)
            outcome = await storage.store.commit("north", Unit(now=NOW, expect=(expected,), puts=(put("a"),)))
            assert isinstance(outcome, Conflict)
            assert (outcome.what, outcome.expectation) == ("document", expected)
        await storage.commit(Unit(now=NOW, expect=(DocumentAt("notes", "a", 1),), puts=(put("a"),)))

    async def test_index_expectation(self, storage: StorageHarness) -> None:
        """A value that another document holds is a conflict; one's own is none."""
        await storage.put(put("a", indexes={"email": "x"}))
        outcome = await storage.store.commit("north", Unit(now=NOW, expect=(IndexFree("notes", "email", "x", "b"),)))
        assert isinstance(outcome, Conflict)
        assert outcome.what == "index"
        await storage.commit(Unit(now=NOW, expect=(IndexFree("notes", "email", "x", "a"),)))

    async def test_count_expectation(self, storage: StorageHarness) -> None:
        """A collection may reach its limit and not pass it; rewriting what is there adds nothing."""
        await storage.put(put("a"))
        limit = CountBelow("notes", 2)
        await storage.commit(Unit(now=NOW, expect=(limit,), puts=(put("b"),)))
        outcome = await storage.store.commit("north", Unit(now=NOW, expect=(limit,), puts=(put("c"),)))
        assert isinstance(outcome, Conflict)
        assert outcome.what == "count"
        await storage.commit(Unit(now=NOW, expect=(limit,), puts=(put("b"),)))
        swap = Unit(now=NOW, expect=(limit,), puts=(put("c"),), deletes=(Delete("notes", "a"),))
        await storage.commit(swap)

    async def test_workspace_revision(self, storage: StorageHarness) -> None:
        """A unit that revises makes the next workspace revision; another revision is a conflict."""
        first = await storage.commit(Unit(now=NOW, expect=(WorkspaceAt(0),), revises=True))
        assert first.revision == 1
        outcome = await storage.store.commit("north", Unit(now=NOW, expect=(WorkspaceAt(0),), revises=True))
        assert isinstance(outcome, Conflict)
        assert outcome.what == "workspace"
        assert (await storage.put(put("a"))).revision == 1

    async def test_conflict_changes_nothing(self, storage: StorageHarness) -> None:
        """A unit in conflict leaves no trace of any of its parts."""
        await storage.put(put("a"))
        unit = Unit(now=NOW, expect=(DocumentAt("notes", "b", 7),), puts=(put("b"),), revises=True)
        assert isinstance(await storage.store.commit("north", unit), Conflict)
        view = await storage.store.view("north", None)
        assert (view.seq, view.revision) == (1, 0)
        assert await storage.store.count("north", "notes") == 1

    async def test_one_of_many_wins(self, storage: StorageHarness) -> None:
        """Of units sent at once that expect the same, exactly one goes through."""
        unit = Unit(now=NOW, expect=(DocumentAt("notes", "a", 0),), puts=(put("a"),))
        outcomes = await asyncio.gather(*(storage.store.commit("north", unit) for _ in range(20)))
        assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 1
        read = await storage.store.get("north", "notes", "a")
        assert read.document is not None
        assert read.document.revision == 1

    async def test_limits_hold_at_once(self, storage: StorageHarness) -> None:
        """Creates sent at once do not pass a limit together, nor do two take one index value."""
        outcomes = await asyncio.gather(
            *(
                storage.store.commit(
                    "north", Unit(now=NOW, expect=(CountBelow("notes", 5),), puts=(put(f"n{number}"),))
                )
                for number in range(20)
            )
        )
        assert sum(isinstance(outcome, Committed) for outcome in outcomes) == 5
        takers = await asyncio.gather(
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
        assert sum(isinstance(outcome, Committed) for outcome in takers) == 1

    async def test_seq_has_no_gaps(self, storage: StorageHarness) -> None:
        """Units sent at once get the numbers that follow one another."""
        done = await asyncio.gather(*(storage.put(put(f"n{number}")) for number in range(30)))
        assert sorted(each.seq for each in done) == list(range(1, 31))

    async def test_view(self, storage: StorageHarness) -> None:
        """The view brings the sections where the caller has not seen the revision, and else none."""
        await storage.commit(Unit(now=NOW, puts=(put("branding", collection="sections"),), revises=True))
        view = await storage.store.view("north", None)
        assert view.documents is not None
        assert [document.id for document in view.documents] == ["branding"]
        assert (await storage.store.view("north", 1)).documents is None
        assert (await storage.store.view("north", 0)).documents is not None

    async def test_handed_out_is_frozen(self, storage: StorageHarness) -> None:
        """Nothing that is handed out can be changed into the store, nor can what was handed in."""
        indexes = {"k": "before"}
        await storage.commit(Unit(now=NOW, puts=(Put("notes", "a", b'{"v":1}', indexes),)))
        indexes["k"] = "after"
        read = await storage.store.get("north", "notes", "a")
        assert read.document is not None
        assert isinstance(read.document.body, bytes), "a body that can be changed in place was handed out"
        with pytest.raises(AttributeError):
            read.document.revision = 9  # type: ignore[misc]
        assert (await storage.store.find("north", "notes", "k", "before")).document is not None
        page = await storage.store.page("north", PageQuery(collection="notes", sort="k"))
        assert all(isinstance(document.body, bytes) for document in page.documents)

    async def test_what_cannot_be_stored(self, storage: StorageHarness) -> None:
        """A unit that cannot be written is refused whole, and leaves nothing behind that a later one trips over."""
        wrong = [Put("notes", "a", b"{}", {"k": "\ud800"}), Put("notes", "\udfff", b"{}")]  # no text that UTF-8 has
        for each in wrong:
            with pytest.raises((ValueError, StorageUnavailable)):
                await storage.store.commit("north", Unit(now=NOW, puts=(put("b"), each)))
        assert (await storage.put(put("a"))).seq == 1
        store = await storage.reopen()
        assert await store.count("north", "notes") == 1

    async def test_tenants_are_apart(self, storage: StorageHarness) -> None:
        """What one tenant holds no other sees."""
        await storage.put(put("a", indexes={"k": "v"}))
        store = storage.store
        assert (await store.get("south", "notes", "a")).document is None
        assert (await store.find("south", "notes", "k", "v")).document is None
        assert (await store.view("south", None)).seq == 0
        assert [document async for document in store.documents("south", "notes")] == []

    async def test_unknown_tenant(self, storage: StorageHarness) -> None:
        """A tenant that does not exist is told so by every call, and noting an attempt stays silent."""
        store = storage.store
        with pytest.raises(UnknownTenant):
            await store.view("nobody", None)
        with pytest.raises(UnknownTenant):
            await store.commit("nobody", Unit(now=NOW))
        with pytest.raises(UnknownTenant):
            await store.get("nobody", "notes", "a")
        assert not await store.has("nobody")

    async def test_documents_by_id(self, storage: StorageHarness) -> None:
        """Every document comes by id, as of the moment the walk began."""
        await storage.put(*(put(f"n{number:03d}") for number in range(250)))
        seen = []
        async for document in storage.store.documents("north", "notes"):
            seen.append(document.id)
            if len(seen) == 1:
                await storage.put(put("n999"), put("n100", {"v": 2}))
        assert seen == [f"n{number:03d}" for number in range(250)]

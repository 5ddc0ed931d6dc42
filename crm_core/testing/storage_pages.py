"""Suite cases about pages: order, cursors, filters, words."""

from __future__ import annotations

import msgspec

from crm_core.plugin.storage import IndexValue, PageQuery
from crm_core.testing.storage_harness import StorageHarness, put

SIZE = 60


async def _filled(storage: StorageHarness) -> None:
    await storage.put(
        *(
            put(
                f"n{number:02d}",
                indexes={
                    "name": f"name {number * 7 % SIZE:02d}",
                    "status": ("lead", "active", "inactive")[number % 3],
                    "tags": ("vip", f"t{number % 5}") if number % 2 else (f"t{number % 5}",),
                    "words": (f"word{number % 4}", "anna" if number % 10 == 0 else "bert", f"x{number}"),
                    "at": f"2027-01-{1 + number // 2:02d}",
                    "score": None if number % 6 == 0 else number % 7,
                },
            )
            for number in range(SIZE)
        )
    )


async def _walk(storage: StorageHarness, query: PageQuery) -> list[str]:
    seen: list[str] = []
    after: tuple[IndexValue, str] | None = None
    while True:
        page = await storage.store.page("north", msgspec.structs.replace(query, after=after))
        seen += [document.id for document in page.documents]
        assert len(page.documents) <= query.limit
        if page.next is None:
            return seen
        after = page.next


class PageCases:
    """Pages of a collection."""

    async def test_every_row_once(self, storage: StorageHarness) -> None:
        """Paging with any order and page size returns every document once, in order."""
        await _filled(storage)
        by_name = sorted(range(SIZE), key=lambda number: number * 7 % SIZE)
        expected = [f"n{number:02d}" for number in by_name]
        for limit in (1, 7, SIZE, 200):
            assert await _walk(storage, PageQuery(collection="notes", sort="name", limit=limit)) == expected
        down = PageQuery(collection="notes", sort="name", descending=True, limit=7)
        assert await _walk(storage, down) == expected[::-1]

    async def test_ties_by_id(self, storage: StorageHarness) -> None:
        """Documents with the same value are sorted by id, in the direction of the sort."""
        await _filled(storage)
        up = await _walk(storage, PageQuery(collection="notes", sort="status", limit=7))
        down = await _walk(storage, PageQuery(collection="notes", sort="status", descending=True, limit=7))
        assert up[:2] == ["n01", "n04"]
        assert down == up[::-1]

    async def test_null_sorts_first(self, storage: StorageHarness) -> None:
        """Values sort as null, false, true, integers by value, texts by code point."""
        values: list[IndexValue] = ["b", 10, None, "B", 9, True, False, "\u00e4", -1]
        await storage.put(*(put(f"n{at}", indexes={"k": value}) for at, value in enumerate(values)))
        seen = await _walk(storage, PageQuery(collection="notes", sort="k", limit=2))
        assert [values[int(id_[1:])] for id_ in seen] == [None, False, True, -1, 9, 10, "B", "b", "\u00e4"]

    async def test_filters(self, storage: StorageHarness) -> None:
        """A document must equal all filters, with any value of a tuple; total counts the matches."""
        await _filled(storage)
        query = PageQuery(
            collection="notes", sort="name", filters=(("status", "active"), ("tags", "vip")), limit=3, total=True
        )
        expected = {f"n{number:02d}" for number in range(SIZE) if number % 3 == 1 and number % 2}
        assert set(await _walk(storage, query)) == expected
        assert (await storage.store.page("north", query)).total == len(expected)
        nulls = PageQuery(collection="notes", sort="name", filters=(("score", None),), limit=4)
        assert set(await _walk(storage, nulls)) == {f"n{number:02d}" for number in range(0, SIZE, 6)}

    async def test_filter_without_matches(self, storage: StorageHarness) -> None:
        """A page without rows has no next and a total of 0."""
        await _filled(storage)
        query = PageQuery(collection="notes", sort="name", filters=(("status", "gone"),), total=True)
        page = await storage.store.page("north", query)
        assert (page.documents, page.next, page.total) == ((), None, 0)

    async def test_words_are_prefixes(self, storage: StorageHarness) -> None:
        """Each word must be a prefix of a word of the document; no document is returned twice."""
        await _filled(storage)
        query = PageQuery(collection="notes", sort="name", words=("an", "word"), limit=2, total=True)
        assert set(await _walk(storage, query)) == {f"n{number:02d}" for number in range(0, SIZE, 10)}
        assert (await storage.store.page("north", query)).total == 6
        every = PageQuery(collection="notes", sort="name", words=("x",), limit=9)
        assert len(await _walk(storage, every)) == SIZE
        assert await _walk(storage, PageQuery(collection="notes", sort="name", words=("nna",))) == []

    async def test_since(self, storage: StorageHarness) -> None:
        """``since`` is inclusive."""
        await _filled(storage)
        query = PageQuery(collection="notes", sort="at", since=("at", "2027-01-29"), limit=3)
        assert await _walk(storage, query) == ["n56", "n57", "n58", "n59"]

    async def test_writes_while_paging(self, storage: StorageHarness) -> None:
        """Paging during writes returns each document with an unchanged sort value exactly once."""
        await _filled(storage)
        first = await storage.store.page("north", PageQuery(collection="notes", sort="name", limit=20))
        await storage.put(put("z1", indexes={"name": "name 00a"}), put("z2", indexes={"name": "name 99"}))
        seen = [document.id for document in first.documents]
        after = first.next
        while after is not None:
            page = await storage.store.page("north", PageQuery(collection="notes", sort="name", limit=20, after=after))
            seen += [document.id for document in page.documents]
            after = page.next
        assert len(seen) == len(set(seen)) == SIZE + 1
        assert "z2" in seen

    async def test_page_revision_and_total(self, storage: StorageHarness) -> None:
        """A page has the workspace revision it was read at, and the total only if requested."""
        await _filled(storage)
        page = await storage.store.page("north", PageQuery(collection="notes", sort="name"))
        assert (page.revision, page.total) == (0, None)
        counted = await storage.store.page("north", PageQuery(collection="notes", sort="name", total=True, limit=1))
        assert counted.total == SIZE

"""Suite cases about pages: order, cursors, filters, words."""

from __future__ import annotations

import msgspec

from crm_core.plugin.storage import Bound, Delete, IndexValue, PageQuery, Term, Unit
from crm_core.testing.promises import Suite
from crm_core.testing.storage_harness import NOW, StorageHarness, put

SIZE = 60


async def _filled(storage: StorageHarness) -> None:
    """Put ``SIZE`` documents, not in the order of their ids, so that no order is right by chance."""
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
            for number in sorted(range(SIZE), key=lambda number: number * 23 % SIZE)
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


class PageCases(Suite):
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
        expected = [f"n{number:02d}" for first in (1, 2, 0) for number in range(first, SIZE, 3)]
        message = "ties are in the order of ids, not of insertion, or a page that begins between them repeats rows"
        assert up == expected, message
        assert down == expected[::-1], message

    async def test_null_sorts_last(self, storage: StorageHarness) -> None:
        """Values sort as false, true, integers by value, texts by code point; null is last in both directions."""
        values: list[IndexValue] = ["b", 10, None, "B", 9, True, False, "\u00e4", -1]
        await storage.put(*(put(f"n{at}", indexes={"k": value}) for at, value in enumerate(values)))
        seen = await _walk(storage, PageQuery(collection="notes", sort="k", limit=2))
        order: list[IndexValue] = [False, True, -1, 9, 10, "B", "b", "\u00e4"]
        assert [values[int(id_[1:])] for id_ in seen] == [*order, None]
        await storage.put(put("n9", indexes={"k": None}))
        for limit in (1, 2, 20):
            down = await _walk(storage, PageQuery(collection="notes", sort="k", descending=True, limit=limit))
            assert [values[int(id_[1:])] for id_ in down[:-2]] == order[::-1]
            assert down[-2:] == ["n9", "n2"]

    async def test_filters(self, storage: StorageHarness) -> None:
        """A document must equal all filters, with any value of a tuple; total counts the matches."""
        await _filled(storage)
        query = PageQuery(
            collection="notes", sort="name", filters=(("status", ("active",)), ("tags", ("vip",))), limit=3, total=True
        )
        expected = {f"n{number:02d}" for number in range(SIZE) if number % 3 == 1 and number % 2}
        assert set(await _walk(storage, query)) == expected
        assert (await storage.store.page("north", query)).total == len(expected)
        nulls = PageQuery(collection="notes", sort="name", filters=(("score", (None,)),), limit=4)
        assert set(await _walk(storage, nulls)) == {f"n{number:02d}" for number in range(0, SIZE, 6)}

    async def test_a_filter_with_several_values(self, storage: StorageHarness) -> None:
        """A document must have any one of them, and is returned once also if it has two."""
        await _filled(storage)
        query = PageQuery(
            collection="notes", sort="name", filters=(("tags", ("vip", "t1", "none")),), limit=4, total=True
        )
        expected = {f"n{number:02d}" for number in range(SIZE) if number % 2 or number % 5 == 1}
        seen = await _walk(storage, query)
        assert (set(seen), len(seen)) == (expected, len(expected))
        assert (await storage.store.page("north", query)).total == len(expected)

    async def test_filter_without_matches(self, storage: StorageHarness) -> None:
        """A page without rows has no next and a total of 0."""
        await _filled(storage)
        query = PageQuery(collection="notes", sort="name", filters=(("status", ("gone",)),), total=True)
        page = await storage.store.page("north", query)
        assert (page.documents, page.next, page.total) == ((), None, 0)

    async def test_words_are_prefixes(self, storage: StorageHarness) -> None:
        """Each word must be a prefix of a word of the document; no document is returned twice."""
        await _filled(storage)
        query = PageQuery(collection="notes", sort="name", terms=(Term("an"), Term("word")), limit=2, total=True)
        assert set(await _walk(storage, query)) == {f"n{number:02d}" for number in range(0, SIZE, 10)}
        assert (await storage.store.page("north", query)).total == 6
        every = PageQuery(collection="notes", sort="name", terms=(Term("x"),), limit=9)
        assert len(await _walk(storage, every)) == SIZE
        assert await _walk(storage, PageQuery(collection="notes", sort="name", terms=(Term("nna"),))) == []

    async def test_a_term_is_plain_text(self, storage: StorageHarness) -> None:
        """A term matches its own characters: no pattern of SQL, a shell or regular expressions, and no other case."""
        words = ["100%", "1000", "a_b", "axb", "a*", "ab", "a.c", "abc", "Anna", "anna", "Äpfel", "äpfel", "q\\z"]
        await storage.put(*(put(word, indexes={"k": word, "words": (word,)}) for word in words))
        terms = {"100%": ["100%"], "%": [], "a_": ["a_b"], "_": [], "a*": ["a*"], "a.": ["a.c"], ".": [], "[a]": []}
        cases = {"Anna": ["Anna"], "ANNA": [], "\u00c4": ["\u00c4pfel"], "\u00e4pf": ["\u00e4pfel"], "q\\": ["q\\z"]}
        for text, expected in (terms | cases).items():
            found = await _walk(storage, PageQuery(collection="notes", sort="k", terms=(Term(text),)))
            assert found == expected, f"the term {text!r} is a prefix of {expected}, as text, but found {found}"
        for text, expected in (("0%", ["100%"]), ("_", ["a_b"]), ("%", ["100%"]), ("B", [])):
            found = await _walk(storage, PageQuery(collection="notes", sort="k", terms=(Term(inside=("", text)),)))
            assert found == expected, f"the text {text!r} is within {expected}, as text, but found {found}"

    async def test_terms_inside_marked_values(self, storage: StorageHarness) -> None:
        """A term finds what begins with its prefix, and what contains its text behind the mark."""
        values = {"a": ("#4971112", "bert"), "b": ("#12", "1112"), "c": ("1119", "x111"), "d": ("71", "#")}
        await storage.put(*(put(id_, indexes={"k": id_, "words": each}) for id_, each in values.items()))

        async def found(term: Term) -> list[str]:
            return await _walk(storage, PageQuery(collection="notes", sort="k", terms=(term,), limit=1))

        assert await found(Term("111", inside=("#", "111"))) == ["a", "b", "c"]
        assert await found(Term(inside=("#", "71"))) == ["a"]
        assert await found(Term(inside=("#", "#"))) == []

    async def test_bounds(self, storage: StorageHarness) -> None:
        """Comparisons follow the order of values, a null value meets none, and several must all be met."""
        await _filled(storage)

        async def found(*bounds: Bound) -> list[str]:
            return await _walk(storage, PageQuery(collection="notes", sort="at", bounds=bounds, limit=3))

        assert await found(Bound("at", "gte", "2027-01-29")) == ["n56", "n57", "n58", "n59"]
        assert await found(Bound("at", "gt", "2027-01-29")) == ["n58", "n59"]
        assert await found(Bound("at", "lte", "2027-01-02"), Bound("at", "gt", "2027-01-01")) == ["n02", "n03"]
        assert await found(Bound("at", "lt", "2027-01-01")) == []
        low = [f"n{number:02d}" for number in range(SIZE) if number % 6 and number % 7 <= 3]
        assert await found(Bound("score", "lte", 3)) == low
        assert await found(Bound("score", "lte", 3), Bound("score", "gt", 2)) == [
            f"n{number:02d}" for number in range(SIZE) if number % 6 and number % 7 == 3
        ]

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

    async def test_a_page_read_again(self, storage: StorageHarness) -> None:
        """A page that was read before shows every put and delete since, and the workspace's present revision."""
        query = PageQuery(collection="notes", sort="name", total=True)

        async def read() -> tuple[list[bytes], int | None, int]:
            page = await storage.store.page("north", query)
            return [document.body for document in page.documents], page.total, page.revision

        a, b, changed = (put(id_, text, {"name": id_}) for id_, text in (("a", 1), ("b", 2), ("a", 3)))
        for change, expected in (
            (Unit(now=NOW, puts=(a,)), ([b"1"], 1, 0)),
            (Unit(now=NOW, puts=(b,)), ([b"1", b"2"], 2, 0)),
            (Unit(now=NOW, puts=(changed,)), ([b"3", b"2"], 2, 0)),
            (Unit(now=NOW, revises=True), ([b"3", b"2"], 2, 1)),
            (Unit(now=NOW, deletes=(Delete("notes", "b"),)), ([b"3"], 1, 1)),
        ):
            await storage.commit(change)
            assert await read() == await read() == expected

    async def test_page_revision_and_total(self, storage: StorageHarness) -> None:
        """A page has the workspace revision it was read at, and the total only if requested."""
        await _filled(storage)
        page = await storage.store.page("north", PageQuery(collection="notes", sort="name"))
        assert (page.revision, page.total) == (0, None)
        counted = await storage.store.page("north", PageQuery(collection="notes", sort="name", total=True, limit=1))
        assert counted.total == SIZE

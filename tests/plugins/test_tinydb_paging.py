"""Pages that search many rows: the matches are found by the index, while other tasks change rows."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock

import pytest

from crm_core.model import turns
from crm_core.plugin.query import PageQuery, Term
from crm_tinydb.collection import Collection
from crm_tinydb.conditions import Slowly
from crm_tinydb.index import Row
from crm_tinydb.paging import page, read_page
from crm_tinydb.sorted_slots import Slot
from crm_tinydb.state import State

ROWS = 12_000


def filled() -> Collection:
    """Rows that share a word; each has a number."""
    collection = Collection("notes")
    for at in range(ROWS):
        collection.put(f"{at:06}", row(collection, at, "company"))
    return collection


def row(collection: Collection, at: int, word: str) -> Row:
    return collection.row(1, b"{}", {"name": f"n{at:06}", "words": (word, f"#{at:06}")})


def search(collection: Collection, *terms: Term) -> Slowly[tuple[list[Slot], int | None]]:
    return page(collection, PageQuery(collection="notes", sort="name", terms=terms, limit=3, total=True))


def finished(work: Slowly[tuple[list[Slot], int | None]]) -> tuple[list[str], int | None]:
    while True:
        try:
            next(work)
        except StopIteration as done:
            found, total = done.value
            return [slot[2] for slot in found], total


def test_all_matches_are_counted_once() -> None:
    """A search counts each record once, also if several of its words begin with the term."""
    collection = filled()
    collection.put("000001", collection.row(2, b"{}", {"name": "n000001", "words": ("company", "companion")}))
    ids, total = finished(search(collection, Term(prefix="compan")))
    assert (ids[:3], total) == (["000000", "000001", "000002"], ROWS)


def test_a_text_inside_a_number_is_found() -> None:
    """A term finds just the values that contain its text after the mark."""
    ids, total = finished(search(filled(), Term(inside=("#", "1234"))))
    assert (ids, total) == (["001234", "011234"], 2)


def test_a_row_that_changes_meanwhile_is_tested_again() -> None:
    """A record that no longer matches when its page is put together is neither shown nor counted."""
    collection = filled()
    work = search(collection, Term(prefix="company"))
    next(work)  # some matches are gathered
    collection.put("000000", row(collection, 0, "person"))
    ids, total = finished(work)
    assert (ids[:3], total) == (["000001", "000002", "000003"], ROWS - 1)


async def test_a_row_that_changes_after_its_test_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long page has no record that no longer matches when it is returned, and leads on from where it ended."""
    monkeypatch.setattr(turns, "TURN", 0.0)
    state = State()
    collection = state.add("notes")
    for at in range(2000):
        collection.put(f"{at:06}", row(collection, at, "company"))
    query = PageQuery(collection="notes", sort="name", filters=(("words", ("company",)),), limit=500)
    reading = asyncio.create_task(read_page(state, query, AsyncMock()))
    await asyncio.sleep(0)  # the first rows are tested
    collection.put("000000", row(collection, 0, "person"))
    found = await reading
    assert [document.id for document in found.documents] == [f"{at:06}" for at in range(1, 500)]
    assert found.next == ("n000499", "000499")


def test_an_empty_tuple_is_found_as_null() -> None:
    """Rows of earlier versions have an empty tuple where later ones have null; a filter on null finds both."""
    collection = Collection("notes")
    for id_, tags in (("a", ()), ("b", ("vip",)), ("c", None), ("d", ())):
        collection.put(id_, collection.row(1, b"{}", {"name": id_, "tags": tags}))
    collection.put("d", collection.row(2, b"{}", {"name": "d", "tags": ("vip",)}))
    for values, expected in (((None,), ["a", "c"]), (("vip",), ["b", "d"]), ((None, "vip"), ["a", "b", "c", "d"])):
        query = PageQuery(collection="notes", sort="name", filters=(("tags", values),), total=True)
        assert finished(page(collection, query)) == (expected, len(expected))

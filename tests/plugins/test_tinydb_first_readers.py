"""Indexes are built by their first readers: of many rows in a thread, while units are committed."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from crm_core.plugin.query import PageQuery, Term
from crm_core.plugin.storage import Committed, Conflict, Delete, IndexFree, Put, StorageContext, Unit
from crm_core.testing.storage import put
from crm_tinydb.collection import BEHIND, FEW
from crm_tinydb.index import Index, Rows
from crm_tinydb.storage import TinyDBBackend

ROWS = FEW + 100
BY_NAME = PageQuery(collection="notes", sort="name", limit=3)


class Builds:
    """The builds of indexes, each by the name of the index and its thread; one in a thread waits for ``gate``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, bool]] = []
        self.begun, self.gate = threading.Event(), threading.Event()
        build = Index.build

        def watched(index: Index, rows: Rows) -> None:
            in_thread = threading.current_thread() is not threading.main_thread()
            self.made.append((index.name, in_thread))
            self.begun.set()
            assert not in_thread or self.gate.wait(30)
            build(index, rows)

        monkeypatch.setattr(Index, "build", watched)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    return Builds(monkeypatch)


@pytest.fixture
async def store(tmp_path: Path, builds: Builds) -> AsyncIterator[TinyDBBackend]:
    """A store with a tenant that has many notes, of which no one has read an index."""
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path))
    await store.create("north")
    puts = tuple(note(f"{number:04}") for number in range(1, ROWS + 1))
    assert isinstance(await store.commit("north", Unit(now=1, puts=puts)), Committed)
    yield store
    builds.gate.set()
    await store.close()


def note(id_: str, name: str = "") -> Put:
    return put(id_, {"n": 1}, {"name": name or f"n{id_}", "words": ("note", id_)}, collection="notes")


async def names_read(store: TinyDBBackend) -> list[str]:
    return [document.id for document in (await store.page("north", BY_NAME)).documents]


async def test_only_what_is_read_is_built(store: TinyDBBackend, builds: Builds) -> None:
    """No write builds an index; a page builds those of its order, search and filters, once, and not on the loop."""
    builds.gate.set()
    assert builds.made == []
    assert await names_read(store) == await names_read(store) == ["0001", "0002", "0003"]
    assert builds.made == [("name", True)]
    searching = PageQuery(
        collection="notes", sort="name", filters=(("tag", (None,)),), terms=(Term("0002"),), search="words"
    )
    assert [each.id for each in (await store.page("north", searching)).documents] == ["0002"]
    assert builds.made == [("name", True), ("words", True)]


async def test_units_during_a_build_count(store: TinyDBBackend, builds: Builds) -> None:
    """Units that are committed during a build are in the index; readers that wait for the same one build it once."""
    reading = [asyncio.create_task(names_read(store)) for _ in range(3)]
    await asyncio.to_thread(builds.begun.wait, 30)
    for number in range(3 * BEHIND):
        await store.commit("north", Unit(now=1, puts=(note(f"a{number}", f"a{number:04}"),)))
    await store.commit("north", Unit(now=1, puts=(note("0001", "a0000x"),), deletes=(Delete("notes", "a1"),)))
    builds.gate.set()
    assert await asyncio.gather(*reading) == [["a0", "0001", "a2"]] * 3
    assert builds.made == [("name", True)]
    await store.commit("north", Unit(now=1, puts=(note("0001", "z"),)))
    assert await names_read(store) == ["a0", "a2", "a3"]


async def test_a_unique_value_is_looked_up_without_a_build_on_the_loop(store: TinyDBBackend, builds: Builds) -> None:
    """A unit that expects a value to be free, and a search by a value, build the index of many rows in a thread."""
    builds.gate.set()
    taken = IndexFree("notes", "name", "n0001", "new")
    conflict = await store.commit("north", Unit(now=1, expect=(taken,), puts=(note("new", "n0001"),)))
    assert isinstance(conflict, Conflict)
    found = (await store.find("north", "notes", "name", "n0002")).document
    assert found is not None
    assert found.id == "0002"
    assert builds.made == [("name", True)]


async def test_a_reader_without_a_thread_builds_itself(store: TinyDBBackend, builds: Builds) -> None:
    """If the system has no thread for a build, the page is read all the same."""

    def failing(_: Callable[[], None]) -> asyncio.Future[None]:
        raise OSError(errno.EAGAIN, "the system has no thread left")

    (await store.open_tenants.get("north")).run = failing  # type: ignore[assignment]
    assert await names_read(store) == ["0001", "0002", "0003"]
    assert builds.made == [("name", False)]


async def test_a_page_of_a_store_that_is_closed_meanwhile_is_answered(store: TinyDBBackend, builds: Builds) -> None:
    """A page needs two indexes; the store is closed during the first build: no thread is left for the next."""
    query = PageQuery(collection="notes", sort="name", filters=(("words", ("0002",)),))
    reading = asyncio.create_task(store.page("north", query))
    await asyncio.to_thread(builds.begun.wait, 30)
    opening = threading.Timer(0.2, builds.gate.set)  # the end of the threads occupies the loop
    opening.start()
    page, _ = await asyncio.wait_for(asyncio.gather(reading, store.close()), 30)
    assert [each.id for each in page.documents] == ["0002"]

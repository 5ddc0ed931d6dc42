"""A collection in memory: encoded bodies, and the indexes that were read, which are updated while the disk is busy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any

from tinydb.storages import MemoryStorage
from tinydb.table import Table

from crm_core.model.turns import Turn
from crm_core.plugin.storage import Document, IndexValue, Page, Reindex
from crm_tinydb.copies import copied_in_turns
from crm_tinydb.editing import opened_row
from crm_tinydb.index import Index, Moved, Row

STEP = 32  # moves that an index applies between two looks at the clock
SCANNED = 256  # bodies read between two turns
PAGES = 16  # that a collection caches
BEHIND = 8  # moves that indexes may be behind: catching up with them is one short turn
FEW = 250  # rows of which an index is built without a thread
Run = Callable[[Callable[[], None]], Awaitable[None]]


class Collection(Table):
    """A TinyDB table with its documents in memory, by id, and a sorted index for each index name that is read.

    TinyDB's own calls read live rows (``search``, ``get``, ...). Those that change rows are refused: that would not be
    durable.
    """

    document_id_class = str  # type: ignore[assignment]  # the caller assigns ids: TinyDB reuses removed ones

    def __init__(self, name: str, reindex: Reindex | None = None) -> None:
        super().__init__(MemoryStorage(), name, cache_size=0)  # type: ignore[no-untyped-call]  # stays empty
        self._reindex = reindex
        self._outdated: dict[tuple[str, ...], Callable[[bytes], tuple[bytes, Mapping[str, IndexValue]]] | None] = {}
        self.rows: dict[str, Row] = {}
        self._names: set[str] = set()  # of every index ever put
        self._indexes: dict[str, Index] = {}  # those that were read: no other costs a write or memory
        self._building = asyncio.Lock()
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._moves: list[Moved] = []  # latest puts and deletes that an index lacks
        self.pages: dict[bytes, Page] = {}  # first pages that were read since the latest put or delete

    def _read_table(self) -> dict[str, Mapping[str, object]]:
        return {id_: opened_row(id_, *row[:4]) for id_, row in self.rows.items()}

    def _update_table(self, updater: Callable[[dict[Any, Any]], None]) -> None:  # noqa: ARG002 -- TinyDB names it
        raise RuntimeError(f"The table {self.name} is read-only. Commit a unit to change it.")

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, revision: int, body: bytes, indexes: Mapping[str, IndexValue], place: int = 0) -> Row:
        """A row, which shares its tuple of index names with similar rows. Outdated ones are brought up to date."""
        names = tuple(indexes)
        if self._reindex is not None:
            if names not in self._outdated:
                self._outdated[names] = self._reindex(self.name, names)
            compute = self._outdated[names]
            if compute is not None:
                body, indexes = compute(body)
                names = tuple(indexes)
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shapes[names] = names
            self._names.update(names)
        return (revision, body, shape, tuple(indexes.values()), place)

    def put(self, id_: str, row: Row) -> None:
        """Write a row; the indexes are updated later."""
        self._moves.append((id_, self.rows.get(id_), row))
        self.rows[id_] = row
        self.pages = {}  # another one: a page that is being read belongs to the rows before

    def delete(self, id_: str) -> None:
        """Delete a row; the indexes are updated later."""
        old = self.rows.pop(id_, None)
        if old is not None:
            self._moves.append((id_, old, None))
            self.pages = {}

    def index(self, name: str) -> Index | None:
        """An index, up to date; None if no document was ever put with it."""
        index = self._indexes.get(name)
        if index is None and name in self._names:
            index = self._indexes[name] = Index(name, len(self._moves))
            index.build(self.rows)
        elif index is not None and index.seen < len(self._moves):
            index.follow(self._moves)
        return index

    def lacks(self, name: str) -> bool:
        """Whether to ``prepare`` an index before it is read."""
        return name not in self._indexes and name in self._names and len(self.rows) > FEW

    async def prepare(self, name: str, run: Run, paused: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Build an index that is read for the first time, in a thread by ``run``; commits are ``paused`` for a copy."""
        async with self._building:
            if self.lacks(name):
                async with paused():
                    rows, index = await copied_in_turns(self.rows, Turn()), Index(name, len(self._moves))
                with suppress(OSError):  # there is no thread: the reader builds it
                    await run(partial(index.build, rows))
                    self._indexes[name] = index

    @property
    def is_behind(self) -> bool:
        """Whether the indexes lack more moves than a reader should have to apply; one that is being built needs all."""
        return len(self._moves) >= BEHIND and not self._building.locked()

    def catch_up(self, turn: Turn) -> bool:
        """Update the indexes; whether that was done before the turn was over."""
        for index in self._indexes.values():
            while index.seen < len(self._moves):
                index.follow(self._moves, STEP)
                if turn.over:
                    return False
        for index in self._indexes.values():
            index.seen = 0
        self._moves.clear()
        return True

    def free(self) -> Iterator[None]:
        """Free the memory of a collection that no one uses, a little for each item: all of it takes long."""
        self._moves.clear()
        self.pages = {}
        while self._indexes:
            chunks = self._indexes.popitem()[1].sorted_slots.taken()
            while chunks:
                chunks.pop()
                yield
        while self.rows:
            for _ in range(min(len(self.rows), STEP)):
                self.rows.popitem()
            yield

    def ids_with(self, name: str, value: IndexValue) -> Iterator[str]:
        """The ids with a value in an index, lowest first."""
        index = self.index(name)
        if index is not None:
            return index.ids_with(value)
        return iter(sorted(self.rows)) if value is None else iter(())

    def document(self, id_: str) -> Document | None:
        """A row as the interface returns it."""
        row = self.rows.get(id_)
        return None if row is None else Document(self.name, id_, row[0], row[1])

    def bodies(self) -> Iterator[list[bytes]]:
        """The bodies of all rows, a few at a time; between two of them rows may change."""
        ids, rows = list(self.rows), self.rows
        for start in range(0, len(ids), SCANNED):
            yield [rows[id_][1] for id_ in ids[start : start + SCANNED] if id_ in rows]

    def documents(self, ids: Iterable[str]) -> tuple[Document, ...]:
        """Rows in the order of the given ids; deleted ids are skipped."""
        rows, name = self.rows, self.name
        return tuple([Document(name, id_, rows[id_][0], rows[id_][1]) for id_ in ids if id_ in rows])

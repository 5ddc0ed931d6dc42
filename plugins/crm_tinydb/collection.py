"""A collection in memory: encoded bodies, and indexes that are brought up to date while the disk is at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tinydb.table import Table

from crm_core.plugin.unit import Document, IndexValue
from crm_tinydb.editing import Edit, Editing, InMemoryStorage, differences, opened_row
from crm_tinydb.index import Index, Moved, Row

BEHIND = 64  # moves that indexes may be behind: a reader makes up for them in less than a millisecond


class Collection(Table):
    """A TinyDB table whose documents live here: by id, with an ordered index for each name that was ever put.

    TinyDB's own calls (``search``, ``update``, ``remove``, ...) read live rows; what they change is handed to
    ``editing`` as puts and deletes, to become a unit. Without it such a change is refused, for it would not be durable.
    """

    document_id_class = str  # type: ignore[assignment]  # ids are our own: TinyDB hands removed ones out again

    def __init__(self, name: str, editing: Editing | None = None) -> None:
        super().__init__(InMemoryStorage(), name, cache_size=0)
        self._editing = editing
        self.rows: dict[str, Row] = {}
        self._indexes: dict[str, Index] = {}
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._moves: list[Moved] = []  # latest puts and deletes, until every index has seen them

    def _read_table(self) -> dict[str, Mapping[str, object]]:
        return {id_: opened_row(id_, *row) for id_, row in self.rows.items()}

    def _update_table(self, updater: Edit) -> None:
        # TinyDB edits what it was given in place: only a comparison with what was there before shows what changed.
        if self._editing is None:
            raise RuntimeError(f"The table {self.name} is written by units: commit one.")
        self._editing(*differences(self.name, self._read_table, updater))

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, revision: int, body: bytes, indexes: Mapping[str, IndexValue]) -> Row:
        """A row that shares its index names with its like."""
        names = tuple(indexes)
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shapes[names] = names
            for name in names:
                if name not in self._indexes:
                    index = self._indexes[name] = Index(name)
                    index.build(self.rows)
                    index.seen = len(self._moves)
        return (revision, body, shape, tuple(indexes.values()))

    def fill(self, rows: dict[str, Row]) -> None:
        """Take all rows of an empty collection at once."""
        self.rows = rows
        for index in self._indexes.values():
            index.build(rows)

    def put(self, id_: str, row: Row) -> None:
        """Write a row; the indexes follow later."""
        self._moves.append((id_, self.rows.get(id_), row))
        self.rows[id_] = row

    def delete(self, id_: str) -> None:
        """Forget a row; the indexes follow later."""
        old = self.rows.pop(id_, None)
        if old is not None:
            self._moves.append((id_, old, None))

    def index(self, name: str) -> Index | None:
        """An index, up to date; None where no document was ever put with it."""
        index = self._indexes.get(name)
        if index is not None and index.seen < len(self._moves):
            index.follow(self._moves)
        return index

    def catch_up(self) -> None:
        """Bring the indexes up to date where they are far behind."""
        if len(self._moves) >= BEHIND:
            for index in self._indexes.values():
                index.follow(self._moves)
                index.seen = 0
            self._moves.clear()

    def holders(self, name: str, value: IndexValue) -> Iterator[str]:
        """The ids that hold a value in an index, lowest first."""
        index = self.index(name)
        if index is not None:
            return index.holders(value)
        return iter(sorted(self.rows)) if value is None else iter(())

    def document(self, id_: str) -> Document | None:
        """A row as the interface hands it out."""
        row = self.rows.get(id_)
        return None if row is None else Document(self.name, id_, row[0], row[1])

    def documents(self, ids: Iterable[str]) -> tuple[Document, ...]:
        """Rows in the order of their ids as given; ids that are gone are passed over."""
        rows, name = self.rows, self.name
        return tuple([Document(name, id_, rows[id_][0], rows[id_][1]) for id_ in ids if id_ in rows])

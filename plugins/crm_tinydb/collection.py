"""A collection in memory: encoded bodies and the sorted indexes over them.

Rows are plain tuples of texts, numbers and bytes, which the garbage collector stops looking at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sortedcontainers import SortedList
from tinydb.table import Table

from crm_core.plugin.unit import Document, IndexValue
from crm_tinydb.editing import Edit, Editing, Held, differences, opened_row

Row = tuple[int, bytes, tuple[str, ...], tuple[IndexValue, ...]]  # revision, body, index names, index values
Ranked = tuple[int, int | str]
Slot = tuple[int, int | str, str]  # rank, value, id
LAST = "\U0010ffff"


def ranked(value: IndexValue) -> Ranked:
    """A value that sorts across kinds: null, false, true, integers, texts."""
    if value is None:
        return (0, 0)
    if isinstance(value, bool):
        return (1, int(value))
    if isinstance(value, int):
        return (2, value)
    if isinstance(value, str):
        return (3, value)
    return (4, "\0".join(value))


def plain(rank: int, value: int | str) -> IndexValue:
    """The value that ``ranked`` was given."""
    return None if rank == 0 else bool(value) if rank == 1 else value


def value_of(row: Row, index: str) -> IndexValue:
    """What a row holds in an index; null where it was put without it."""
    names = row[2]
    return row[3][names.index(index)] if index in names else None


def slots(value: IndexValue, id_: str) -> Iterator[Slot]:
    """The places of a document in an index: one, or one for each value of a tuple."""
    if isinstance(value, tuple):
        for each in set(value):
            yield (3, each, id_)
    else:
        rank, key = ranked(value)
        yield (rank, key, id_)


class Collection(Table):
    """A TinyDB table whose documents live here: by id, with an ordered index for each name that was ever put.

    TinyDB's own calls (``search``, ``update``, ``remove``, ...) read live rows; what they change is handed to
    ``editing`` as puts and deletes, to become a unit. Without it such a change is refused, for it would not be durable.
    """

    document_id_class = str  # type: ignore[assignment]  # ids are our own: TinyDB hands removed ones out again

    def __init__(self, name: str, editing: Editing | None = None) -> None:
        super().__init__(Held(), name, cache_size=0)
        self._editing = editing
        self.rows: dict[str, Row] = {}
        self.indexes: dict[str, SortedList[Slot]] = {}
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}

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
        return (revision, body, self._shapes.setdefault(names, names), tuple(indexes.values()))

    def fill(self, rows: dict[str, Row]) -> None:
        """Take all rows of an empty collection at once and build the indexes."""
        self.rows = rows
        names = {name for shape in self._shapes for name in shape}
        for name in names:
            self.indexes[name] = self._built(name)

    def _built(self, name: str) -> SortedList[Slot]:
        return SortedList(slot for id_, row in self.rows.items() for slot in slots(value_of(row, name), id_))

    def put(self, id_: str, row: Row) -> None:
        """Write a row and move it in the indexes where its values changed."""
        old = self.rows.get(id_)
        for name in row[2]:
            if name not in self.indexes:
                self.indexes[name] = self._built(name)
        self.rows[id_] = row
        for name, index in self.indexes.items():
            value = value_of(row, name)
            if old is not None:
                before = value_of(old, name)
                if before == value and type(before) is type(value):
                    continue
                for slot in slots(before, id_):
                    index.remove(slot)
            index.update(slots(value, id_)) if isinstance(value, tuple) else index.add((*ranked(value), id_))

    def delete(self, id_: str) -> None:
        """Forget a row."""
        old = self.rows.pop(id_, None)
        if old is not None:
            for name, index in self.indexes.items():
                for slot in slots(value_of(old, name), id_):
                    index.remove(slot)

    def document(self, id_: str) -> Document | None:
        """A row as the interface hands it out."""
        row = self.rows.get(id_)
        return None if row is None else Document(self.name, id_, row[0], row[1])

    def holders(self, index: str, value: IndexValue) -> Iterator[str]:
        """The ids that hold a value, lowest first."""
        ordered = self.indexes.get(index)
        if ordered is None:
            if value is None:
                yield from sorted(self.rows)
            return
        rank, key = ranked(value)
        for slot in ordered.irange((rank, key, ""), (rank, key, LAST)):
            yield slot[2]

    def counted(self, index: str, value: IndexValue) -> int:
        """How many documents hold a value."""
        ordered = self.indexes.get(index)
        if ordered is None:
            return len(self.rows) if value is None else 0
        rank, key = ranked(value)
        return ordered.bisect_right((rank, key, LAST)) - ordered.bisect_left((rank, key, ""))

    def documents(self, ids: Iterable[str]) -> tuple[Document, ...]:
        """Rows in the order of their ids as given."""
        rows, name = self.rows, self.name
        return tuple(Document(name, id_, rows[id_][0], rows[id_][1]) for id_ in ids)

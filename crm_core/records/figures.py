"""The few members of all records of a type that boards, dashboards and reports count and add up, in memory.

They follow the change log, so that a page costs what has changed since the last one, on every storage backend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, Final, Protocol, cast

import msgspec
from cachetools import LRUCache

from crm_core.model.turns import STEP, Turn, chosen_in_turns, in_turns
from crm_core.plugin.member import Kind
from crm_core.plugin.record_type import RecordType
from crm_core.records.guarded_store import GuardedStore, RecordAccess
from crm_core.records.log_reader import LogReader
from crm_core.records.shape import Shape

_MOST_ROWS: Final = 400_000  # of all tenants; those that were used least recently are dropped, and read again
_MISSED: Final = 500  # changed records, and a quarter of all: to read more of them one by one takes longer
_HISTORY: Final = 20  # entries of a record's history read at a time
_COUNTED: Final[frozenset[Kind]] = frozenset({"choice", "flag", "decimal", "date", "moment", "reference", "currency"})
_TYPES: Final[Mapping[str, Any]] = {
    "flag": bool | None,
    "decimal": Decimal | None,
    "date": Annotated[str, msgspec.Meta(min_length=10, max_length=10)] | None,  # a pattern takes as long as the rest
}


class Row(Protocol):
    """The counted members of a record; ``RowType.value`` reads the type's own."""

    id: str
    name: str
    created_at: str
    updated_at: str
    archived_at: str | None
    created_by: str
    revision: int


class RowType:
    """How the records of a type become rows: members that are chosen, dated, counted or added up, and people."""

    def __init__(self, record_type: RecordType) -> None:
        counted = [one for one in record_type.members if one.kind in _COUNTED or one.is_person]
        fields = [(f"member_{at}", _TYPES.get(one.kind, str | None), None) for at, one in enumerate(counted)]
        self._getters = {one.name: attrgetter(field[0]) for one, field in zip(counted, fields, strict=True)}
        owned = [(name, str) for name in ("id", "name", "created_at", "updated_at", "created_by")]
        struct = msgspec.defstruct(
            "Row",
            [*owned, ("revision", int), ("archived_at", str | None, None), *fields],
            rename={field[0]: one.name for one, field in zip(counted, fields, strict=True)},
            gc=False,
            frozen=True,
        )
        self._decoder, self._together = msgspec.json.Decoder(struct), msgspec.json.Decoder(list[struct])  # type: ignore[valid-type]

    def row(self, body: bytes) -> Row | None:
        """The row of a record; None for one of a schema that its type can no longer read, which no list shows."""
        try:
            return cast("Row", self._decoder.decode(body))
        except msgspec.ValidationError:
            return None

    def rows(self, bodies: Sequence[bytes]) -> list[Row]:
        """The rows of records: decoded together, which takes half as long, if all of them can be read."""
        try:
            return cast("list[Row]", self._together.decode(b"[%b]" % b",".join(bodies)))
        except msgspec.ValidationError:
            return [row for body in bodies if (row := self.row(body)) is not None]

    def value(self, member: str) -> Callable[[Row], Any]:
        """The function that reads a member of a row."""
        return self._getters[member]


class _Table:
    """The rows of a type in a tenant, and since when they have their values."""

    def __init__(self, reader: LogReader) -> None:
        self.reader, self.lock, self.ready = reader, asyncio.Lock(), False
        self.rows: dict[str, Row] = {}
        self.listed: tuple[Row, ...] = ()
        self.moments: dict[tuple[str, str], tuple[int, str | None]] = {}

    def __len__(self) -> int:
        return min(len(self.rows), _MOST_ROWS - 1) + 1


class Figures:
    """Reads of the rows of all types. If the workspace changed before a read, the guard decides again."""

    def __init__(self, store: GuardedStore) -> None:
        self._store = store
        self._tables: LRUCache[tuple[str, str], _Table] = LRUCache(_MOST_ROWS, getsizeof=len)
        self._types: dict[str, RowType] = {}

    def type_of(self, shape: Shape) -> RowType:
        """How the records of a type become rows."""
        if shape.name not in self._types:
            self._types[shape.name] = RowType(shape.record_type)
        return self._types[shape.name]

    async def rows(self, access: RecordAccess, *, archived: bool = False) -> tuple[Row, ...]:
        """All records of a type as rows; with ``archived``, those as well. Raises AccessError."""
        while True:
            workspace = await self._store.authorize(access, "view")
            table = await self._table(access)
            if await self._store.workspace(access.tenant) is workspace:
                return tuple(table.rows.values()) if archived else table.listed

    async def since(self, access: RecordAccess, rows: Sequence[Row], member: str) -> dict[str, str | None]:
        """When each row got its present value of a member, by the change log.

        None if it has had it from the beginning, or for longer than the log goes back. Raises AccessError.
        """
        await self._store.authorize(access, "view")
        table, found = await self._table(access), dict[str, str | None]()
        async for some in in_turns(rows):
            for row in some:
                known = table.moments.get((member, row.id))
                if known is None or known[0] != row.revision:
                    moment = None if row.revision == 1 else await self._changed_at(access, row.id, member)
                    known = table.moments[member, row.id] = (row.revision, moment)
                found[row.id] = known[1]
        return found

    async def _changed_at(self, access: RecordAccess, id_: str, member: str) -> str | None:
        pointer, before = f"/{member}", None
        while True:
            entries = await self._store.backend.history(access.tenant, access.shape.name, id_, before, _HISTORY)
            for stored in entries:
                if any(change.pointer == pointer for change in stored.entry.changes):
                    return stored.entry.at
            if not entries:
                return None
            before = entries[-1].place

    async def _table(self, access: RecordAccess) -> _Table:
        key = access.tenant, access.shape.name
        table = self._tables.get(key)
        if table is None:
            table = self._tables[key] = _Table(LogReader(self._store.backend, access.tenant))
        async with table.lock:
            try:
                if await self._follow(access, table):
                    table.listed = tuple(await chosen_in_turns([*table.rows.values()], _is_listed))
                    self._tables[key] = table  # with its present size
            except BaseException:  # the reader is past changes that the rows lack, as when a client leaves
                table.ready = False
                raise
        return table

    async def _follow(self, access: RecordAccess, table: _Table) -> bool:
        """Bring the rows up to date; whether any may have changed."""
        fresh = await table.reader.fresh() if table.ready else None
        if fresh is None:
            await self._read_all(access, table)
            return True
        changed = tuple(dict.fromkeys(entry.id for entry in fresh if entry.type == access.shape.name))
        if len(changed) > _MISSED + len(table.rows) // 4:
            await self._read_all(access, table)
            return True
        kind = self.type_of(access.shape)
        async for some in in_turns(changed):
            for id_ in some:
                document = (await self._store.read(access, id_)).document
                row = None if document is None else kind.row(document.body)
                if row is None:
                    table.rows.pop(id_, None)
                else:
                    table.rows[id_] = row
        return bool(changed)

    async def _read_all(self, access: RecordAccess, table: _Table) -> None:
        """Read every record; what changes meanwhile is in the log after the place where the reader begins."""
        await table.reader.begin()
        kind, rows = self.type_of(access.shape), dict[str, Row]()
        turn = Turn()
        for collection in (access.shape.collection, access.shape.archive):
            async with aclosing(self._store.backend.scan(access.tenant, collection)) as scanned:
                async for bodies in scanned:
                    for start in range(0, len(bodies), STEP):
                        await turn.pause()
                        for row in kind.rows(bodies[start : start + STEP]):
                            rows[row.id] = row
        table.rows, table.ready = rows, True


def _is_listed(row: Row) -> bool:
    return row.archived_at is None

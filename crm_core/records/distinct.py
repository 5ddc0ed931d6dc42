"""Pairs of records that look like doubles and are none: remembered for the whole tenant until that is taken back.

A pair is one small document. It is no change of either record. Archiving one of them leaves it, an erase removes it.
"""

from __future__ import annotations

from typing import Final

from crm_core.errors import NotFound
from crm_core.plugin.storage import (
    Conflict,
    Delete,
    Document,
    DocumentAt,
    DocumentExists,
    Expectation,
    IndexFree,
    PageQuery,
    Put,
    StorageBackend,
    Unit,
)
from crm_core.records.guarded_store import ATTEMPTS, GuardedStore, RecordAccess, busy, existing, having, require_live

DISTINCT: Final = "distinct"
"""The collection; a document has both ids in its id and, for an erase, one in each index."""
_INDEXES: Final = ("first", "second")


class DistinctPairs:
    """The pairs of all record types."""

    def __init__(self, store: GuardedStore) -> None:
        self._store = store

    async def has(self, tenant: str, id: str, other: str) -> bool:  # noqa: A002 -- the wire's word
        """Whether two records are known to be no doubles, in either order."""
        return (await self._store.backend.get(tenant, DISTINCT, _key(id, other))).document is not None

    async def others(self, tenant: str, id: str, most: int) -> list[str]:  # noqa: A002 -- the wire's word
        """The ids of at most so many records that a record is known to be no double of, archived ones included."""
        found: list[str] = []
        for index in _INDEXES:
            query = PageQuery(collection=DISTINCT, sort=index, filters=((index, (id,)),), limit=most)
            pairs = (document.id.split(":") for document in (await self._store.backend.page(tenant, query)).documents)
            found += [first if second == id else second for first, second in pairs]
        return found[:most]

    async def add(self, access: RecordAccess, id: str, other: str) -> Document:  # noqa: A002 -- the wire's word
        """Remember that two live records are no doubles, once; returns the other one.

        Raises AccessError, NotFound, RecordArchived.
        """
        return await self._write(access, id, other, distinct=True)

    async def remove(self, access: RecordAccess, id: str, other: str) -> Document:  # noqa: A002 -- the wire's word
        """Forget that two live records are no doubles; returns the other one.

        Raises AccessError, NotFound, RecordArchived.
        """
        return await self._write(access, id, other, distinct=False)

    async def _write(self, access: RecordAccess, id_: str, other: str, *, distinct: bool) -> Document:
        key = _key(id_, other)
        for _ in range(ATTEMPTS):
            workspace = await self._store.authorize(access, "update", writes=True)
            records = [await self._store.read(access, one) for one in (id_, other)]
            if any(read.revision > workspace.revision for read in records):
                continue
            _, found = (_live(access, read.document) for read in records)
            if id_ == other:
                raise NotFound("There is no record with this id.")
            if await self.has(access.tenant, id_, other) == distinct:
                return found
            unit = Unit(
                now=int(self._store.now().timestamp()),
                expect=(
                    workspace.unchanged,
                    *(DocumentExists(access.shape.collection, one) for one in (id_, other)),
                    *([DocumentAt(DISTINCT, key, 0)] if distinct else []),
                ),
                puts=(_put(id_, other),) if distinct else (),
                deletes=() if distinct else (Delete(DISTINCT, key),),
            )
            if not isinstance(await self._store.commit(access.tenant, unit), Conflict):
                return found
        raise busy()


async def without_pairs(
    backend: StorageBackend, tenant: str, ids: tuple[str, ...]
) -> tuple[tuple[Expectation, ...], tuple[Delete, ...]]:
    """The part of an erase that removes the pairs of the erased records, also those that are added in the meantime."""
    expect = tuple(IndexFree(DISTINCT, index, id_, "") for id_ in ids for index in _INDEXES)
    found: dict[str, None] = {}
    for index in _INDEXES:
        async for pair in having(backend, tenant, DISTINCT, index, ids):
            found[pair.id] = None
    return expect, tuple(Delete(DISTINCT, pair) for pair in found)


def _live(access: RecordAccess, document: Document | None) -> Document:
    found = existing(document)
    require_live(access, found)
    return found


def _key(id_: str, other: str) -> str:
    return ":".join(sorted((id_, other)))


def _put(id_: str, other: str) -> Put:
    pair = sorted((id_, other))
    return Put(DISTINCT, _key(id_, other), b"{}", dict(zip(_INDEXES, pair, strict=True)))

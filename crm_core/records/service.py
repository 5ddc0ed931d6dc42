"""The use cases of records, as routes, pages and commands call them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from crm_core.model.caller import Caller
from crm_core.model.ids import Ids
from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import StorageBackend
from crm_core.records.archiving import Archive
from crm_core.records.batch import Batches
from crm_core.records.bulk import BulkChanges
from crm_core.records.distinct import DistinctPairs
from crm_core.records.erasing import Erasure
from crm_core.records.feed import ChangeFeed
from crm_core.records.figures import Figures
from crm_core.records.guarded_store import GuardedStore, RecordAccess
from crm_core.records.idempotency import Idempotency
from crm_core.records.list_views import ListViews
from crm_core.records.reading import RecordReads
from crm_core.records.recent_changes import RecentChanges
from crm_core.records.reindexing import shapes_of
from crm_core.records.shape import archive_of, collection_of
from crm_core.records.uniqueness import doubles
from crm_core.records.unreadable import unreadable
from crm_core.records.writing import Writes
from crm_core.workspace import Views
from crm_core.workspace.cursors import Cursors


class Records:
    """Reads, writes and batches of records; ``access`` makes their first argument."""

    def __init__(
        self,
        *,
        backend: StorageBackend,
        views: Views,
        registry: Registry,
        cursors: Cursors,
        now: Callable[[], datetime],
        ids: Ids,
    ) -> None:
        self._backend = backend
        self._store = store = GuardedStore(backend, views, now)
        idempotency = Idempotency(backend, lambda: int(now().timestamp()))
        self.shapes = shapes_of(registry)
        self.reads = RecordReads(store, cursors)
        self.feed = ChangeFeed(store, self.shapes, cursors)
        self.figures = Figures(store)
        self.recent_changes = RecentChanges(backend, self.shapes)
        self.writes = Writes(store, ids, idempotency)
        self.archive = Archive(store, idempotency)
        self.erasure = Erasure(store, self.shapes)
        self.batches = Batches(store, self.writes, idempotency)
        self.list_views = ListViews(backend, now)
        self.distinct = DistinctPairs(store)
        self.bulk = BulkChanges(self.reads, self.batches, self.archive)

    def access(self, tenant: str, caller: Caller, record_type: str, request_id: str | None = None) -> RecordAccess:
        """A caller's access to a record type. Raises KeyError for an unknown type."""
        return RecordAccess(tenant, caller, self.shapes[record_type], request_id)

    async def count(self, tenant: str, record_type: str, *, archived: bool = False) -> int:
        """How many records of a type a tenant has, or has archived; 0 if no plugin brings the type."""
        if record_type not in self.shapes:
            return 0
        return await self._backend.count(tenant, (archive_of if archived else collection_of)(record_type))

    async def orphaned(self, tenant: str) -> list[str]:
        """The record types of which a tenant has records, and which no plugin brings."""
        names = {_type_of(collection) for collection in await self._backend.collections(tenant)}
        return sorted(name for name in names if name is not None and name not in self.shapes)

    async def faults(self, tenant: str) -> list[str]:
        """Records that their type cannot read, and values of unique members that several have, in sentences."""
        found = []
        for shape in self.shapes.values():
            found += await unreadable(self._backend, tenant, shape)
            found += [sentence async for sentence in doubles(self._backend, tenant, shape)]
        return found

    async def name_of(self, tenant: str, record_type: str, id: str) -> str | None:  # noqa: A002 -- the wire's word
        """The name of a record, None if there is none; the right to view it is for the caller to check."""
        document = (await self._store.record(tenant, record_type, id)).document
        return None if document is None else str(msgspec.json.decode(document.body)["name"])


def _type_of(collection: str) -> str | None:
    """The record type of a collection; None if it is none of records."""
    kind, _, name = collection.partition(":")
    return name if kind in ("records", "archived") else None

"""The newest changes of a tenant's records, from the change log, in memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from cachetools import LRUCache

from crm_core.model.change_log import ChangeEntry, RecordChange
from crm_core.plugin.storage import StorageBackend
from crm_core.records.log_reader import LogReader
from crm_core.records.shape import Shape

MOST_CHANGES: Final = 1000
_TENANTS: Final = 64


class NewestChange(NamedTuple):
    """A change of a record, without the values before and after it; ``chosen``: new values of choices and flags."""

    at: str
    actor: str
    change: RecordChange
    type: str
    id: str
    members: tuple[str, ...]
    chosen: Mapping[str, Any]


class _Newest:
    def __init__(self, reader: LogReader) -> None:
        self.reader, self.lock, self.ready = reader, asyncio.Lock(), False
        self.changes: deque[NewestChange] = deque(maxlen=MOST_CHANGES)


class RecentChanges:
    """Reads of the newest changes. Which types a caller may see is for the caller of this to check."""

    def __init__(self, backend: StorageBackend, shapes: Mapping[str, Shape]) -> None:
        self._backend = backend
        self._chosen = {
            name: frozenset(one.name for one in shape.record_type.members if one.kind in ("choice", "flag"))
            for name, shape in shapes.items()
        }
        self._tenants: LRUCache[str, _Newest] = LRUCache(_TENANTS)

    async def of(self, tenant: str, types: Iterable[str]) -> list[NewestChange]:
        """The changes of records of these types among the newest, newest first."""
        newest = self._tenants.get(tenant)
        if newest is None:
            newest = self._tenants[tenant] = _Newest(LogReader(self._backend, tenant))
        async with newest.lock:
            fresh = await newest.reader.fresh() if newest.ready else None
            if fresh is None:
                newest.changes.clear()
                await newest.reader.begin(MOST_CHANGES)
                fresh = await newest.reader.fresh() or []
                newest.ready = True
            for entry in fresh:
                if entry.change == "erased":
                    newest.changes = deque((one for one in newest.changes if one.id != entry.id), MOST_CHANGES)
                newest.changes.append(self._slim(entry))
        wanted = frozenset(types)
        return [one for one in reversed(newest.changes) if one.type in wanted]

    def _slim(self, entry: ChangeEntry) -> NewestChange:
        members = tuple(dict.fromkeys(change.pointer.split("/")[1] for change in entry.changes))
        wanted = self._chosen.get(entry.type, frozenset())
        chosen = {name: change.after for change in entry.changes if (name := change.pointer[1:]) in wanted}
        return NewestChange(
            entry.at, entry.actor or "", entry.change or "updated", entry.type, entry.id, members, chosen
        )

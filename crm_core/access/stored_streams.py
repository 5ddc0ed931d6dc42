"""Open streams in the tenants' stores, where every process that serves a tenant counts them."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec

from crm_core.access.streams import MAX_STREAMS, MAX_STREAMS_OF_CALLER, too_many_of_caller, too_many_of_tenant
from crm_core.errors import CrmError, StorageUnavailable, UnknownTenant
from crm_core.model.ids import Ids
from crm_core.model.keyed_locks import KeyedLocks
from crm_core.model.waiting import set_within
from crm_core.plugin.storage import (
    Committed,
    Conflict,
    CountBelow,
    Delete,
    Document,
    DocumentAt,
    OutcomeUnknown,
    Put,
    StorageBackend,
    Unit,
)

STREAMS: Final = "streams"
_BEAT: Final = 5.0  # seconds between heartbeats
_LIFE: Final = 15  # seconds after the last heartbeat until a process and its streams no longer count
_RELEASE: Final = 5.0  # seconds until a closed stream leaves the store: a caller that waits again needs no write
_ATTEMPTS: Final = 20
_Counts = dict[str, int]  # by actor


class StoredStreams:
    """Counts the streams of this process in a document of each tenant, next to those of other processes."""

    def __init__(
        self, backend: StorageBackend, ids: Ids, now: Callable[[], datetime], release_after: float = _RELEASE
    ) -> None:
        self._backend, self._now, self._release_after = backend, now, release_after
        self._process = ids.new()
        self._alive: frozenset[str] = frozenset()
        self._used: dict[str, Counter[str]] = defaultdict(Counter)
        self._stored: dict[str, _Counts] = defaultdict(dict)
        self._unsure: set[str] = set()  # tenants in whose stores a write may have been made, or not
        self._locks = KeyedLocks()
        self._releasing: dict[str, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Send heartbeats until ``stop``; then this process and its streams no longer count."""
        while not stop.is_set():
            with suppress(CrmError):
                await self._heartbeat()
            await set_within(stop, _BEAT)
        for task in self._releasing.values():
            task.cancel()
        with suppress(CrmError):
            await self._backend.alive(self._process, 0)

    async def _heartbeat(self) -> None:
        self._alive = await self._backend.alive(self._process, _LIFE) | {self._process}

    async def add(self, tenant: str, actor: str) -> None:
        """Count a stream until it is removed. Raises TooManyStreams, StorageUnavailable, StorageFull."""
        async with self._locks.of(tenant):
            if self._used[tenant][actor] >= self._stored[tenant].get(actor, 0):
                await self._store(tenant, actor)
            self._used[tenant][actor] += 1

    def remove(self, tenant: str, actor: str) -> None:
        """Stop counting a stream that was added."""
        used = self._used[tenant]
        used[actor] -= 1
        if not used[actor]:
            del used[actor]  # a tenant whose streams never all close may have many actors in time
        self._release_soon(tenant)

    def _release_soon(self, tenant: str) -> None:
        if tenant not in self._releasing:
            self._releasing[tenant] = asyncio.create_task(self._release_later(tenant))

    async def _store(self, tenant: str, actor: str) -> None:
        """Store one more stream of an actor, within the limits over all processes."""
        wanted = {**self._current(tenant), actor: self._used[tenant][actor] + 1}
        for _ in range(_ATTEMPTS):
            documents = [document async for document in self._backend.documents(tenant, STREAMS)]
            if any(document.id not in self._alive for document in documents):
                await self._heartbeat()  # one may have started since
            others = [document for document in documents if document.id in self._alive and document.id != self._process]
            _check_room([*map(_counts, others), wanted], actor)
            gone = [document for document in documents if document.id not in self._alive]
            own = next((document.revision for document in documents if document.id == self._process), 0)
            expect = [DocumentAt(STREAMS, document.id, document.revision) for document in (*others, *gone)]
            unit = Unit(
                now=self._seconds(),
                expect=(*expect, DocumentAt(STREAMS, self._process, own), CountBelow(STREAMS, len(others) + 1)),
                puts=(Put(STREAMS, self._process, msgspec.json.encode(wanted)),),
                deletes=tuple(Delete(STREAMS, document.id) for document in gone),
            )
            if isinstance(await self._written(tenant, unit), Committed):
                self._stored[tenant] = wanted
                return
        raise StorageUnavailable("Many streams are being opened right now. Try again.", retry_after=1)

    async def _written(self, tenant: str, unit: Unit) -> Committed | Conflict:
        """Commit a unit. If its outcome is not known, the counts are written again later. Raises StorageUnavailable."""
        try:
            outcome = await self._backend.commit(tenant, unit)
        except OutcomeUnknown:
            self._unsure.add(tenant)
            self._stored[tenant] = self._current(tenant)  # at least: more may be stored
            self._release_soon(tenant)
            raise StorageUnavailable("The connection to the storage broke. Try again.", retry_after=1) from None
        if isinstance(outcome, Committed):
            self._unsure.discard(tenant)
        return outcome

    def _current(self, tenant: str) -> _Counts:
        return dict(self._used[tenant])

    async def _release_later(self, tenant: str) -> None:
        """Store only the open streams, once some have been closed for a while."""
        try:
            while tenant in self._unsure or self._current(tenant) != self._stored[tenant]:
                await asyncio.sleep(self._release_after)
                async with self._locks.of(tenant):
                    with suppress(CrmError):
                        await self._release(tenant)
        finally:
            del self._releasing[tenant]
            self._unsure.discard(tenant)
            if not self._current(tenant):
                self._used.pop(tenant, None)
                self._stored.pop(tenant, None)

    async def _release(self, tenant: str) -> None:
        counts = self._current(tenant)
        if counts == self._stored[tenant] and tenant not in self._unsure:
            return
        put = Put(STREAMS, self._process, msgspec.json.encode(counts))
        puts, deletes = ((put,), ()) if counts else ((), (Delete(STREAMS, self._process),))
        with suppress(UnknownTenant):
            await self._written(tenant, Unit(now=self._seconds(), puts=puts, deletes=deletes))
        self._unsure.discard(tenant)
        self._stored[tenant] = counts

    def _seconds(self) -> int:
        return int(self._now().timestamp())


def _counts(document: Document) -> _Counts:
    return msgspec.json.decode(document.body, type=_Counts)


def _check_room(processes: list[_Counts], actor: str) -> None:
    """Raise TooManyStreams if all processes together exceed a limit."""
    if sum(sum(counts.values()) for counts in processes) > MAX_STREAMS:
        raise too_many_of_tenant()
    if sum(counts.get(actor, 0) for counts in processes) > MAX_STREAMS_OF_CALLER:
        raise too_many_of_caller()

"""The default storage backend: a folder of journaled, TinyDB-readable files for each tenant."""

# ruff: noqa: D102 -- StorageBackend documents each call

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TypeVar

from crm_core.errors import SetupError, StorageUnavailable
from crm_core.model.log import Head, LogEntry
from crm_core.plugin.storage import (
    ChainReport,
    Committed,
    Conflict,
    Document,
    EntryQuery,
    IndexValue,
    Page,
    PageQuery,
    Read,
    StorageBackend,
    StorageContext,
    StoredNotice,
    StoreState,
    Tally,
    Unit,
    View,
)
from crm_tinydb import backup
from crm_tinydb.disk import Disk, RealDisk
from crm_tinydb.doctor import examine
from crm_tinydb.folded import snapshot
from crm_tinydb.folding import fold
from crm_tinydb.formats import newer_files
from crm_tinydb.framing import Damaged
from crm_tinydb.group_commit import refusal
from crm_tinydb.log import read_chain, read_page, read_tally, walked
from crm_tinydb.open_tenants import OpenTenants
from crm_tinydb.opening import journals
from crm_tinydb.paging import page, paged
from crm_tinydb.segments import Segment
from crm_tinydb.tenant import Tenant

SECTIONS = "sections"
T = TypeVar("T")


class TinyDBBackend(StorageBackend):
    """Per-tenant folders under ``tenants_dir``. ``options``: ``max_open`` (tenants held open, 256)."""

    NAME = "tinydb"
    EXCLUSIVE = True

    def __init__(self, disk: Disk | None = None) -> None:
        self._disk: Disk = disk or RealDisk()
        self._shelf: OpenTenants | None = None
        self._keep_days = 0

    @property
    def shelf(self) -> OpenTenants:
        """The open tenants."""
        if self._shelf is None:
            raise StorageUnavailable("The storage is not open.")
        return self._shelf

    async def open(self, context: StorageContext) -> None:
        unknown = set(context.options) - {"max_open"}
        limit = context.options.get("max_open", 256)
        if unknown:
            raise SetupError([f"storage: unknown option {name}; tinydb knows max_open" for name in sorted(unknown)])
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise SetupError(["storage: max_open must be a whole number from 1"])
        self._keep_days = context.log_keep_days
        shelf = OpenTenants(self._disk, context.tenants_dir, limit, context.log_max_unverified, context.log_keep_days)
        try:
            await shelf.scan()
        except OSError as error:
            raise SetupError([f"{context.tenants_dir} cannot be used: {error.strerror}"]) from None
        self._shelf = shelf

    async def close(self) -> None:
        if self._shelf is not None:
            await self._shelf.close()
            self._shelf = None

    async def tenants(self) -> list[str]:
        return sorted(self.shelf.names)

    async def has(self, tenant: str) -> bool:
        return tenant in self.shelf.names

    async def create(self, tenant: str) -> None:
        await self.shelf.make(tenant, lambda: backup.create(self._disk, self.shelf.home, tenant))

    async def _readable(self, tenant: str) -> Tenant:
        held = self.shelf.at_hand(tenant) or await self.shelf.get(tenant)
        held.check_readable()
        return held

    async def view(self, tenant: str, seen: int | None) -> View:
        state = (await self._readable(tenant)).state
        documents = None
        if seen != state.revision:
            sections = state.collection(SECTIONS)
            documents = sections.documents(sorted(sections.rows))
        return View(state.revision, state.seq, state.head, documents)

    async def get(self, tenant: str, collection: str, id: str) -> Read:  # noqa: A002 -- the interface's word
        state = (await self._readable(tenant)).state
        return Read(state.collection(collection).document(id), state.revision)

    async def find(self, tenant: str, collection: str, index: str, value: IndexValue) -> Read:
        state = (await self._readable(tenant)).state
        held = state.collection(collection)
        id_ = next(held.holders(index, value), None)
        return Read(None if id_ is None else held.document(id_), state.revision)

    async def page(self, tenant: str, query: PageQuery) -> Page:
        state = (await self._readable(tenant)).state
        collection = state.collection(query.collection)
        work = page(collection, query)
        while True:
            try:
                next(work)
            except StopIteration as done:
                slots, total = done.value
                return paged(collection, query, slots, total, state.revision)
            await asyncio.sleep(0)

    async def count(self, tenant: str, collection: str) -> int:
        return len((await self._readable(tenant)).state.collection(collection).rows)

    async def claim(self, tenant: str, kind: str, key: str) -> bytes | None:
        held = (await self._readable(tenant)).state.claims.get((kind, key))
        return None if held is None else held[0]

    async def commit(self, tenant: str, unit: Unit) -> Committed | Conflict:
        held = self.shelf.at_hand(tenant) or await self.shelf.get(tenant)
        held.users += 1
        try:
            outcome = await held.commit(unit)
        finally:
            held.users -= 1
        self.shelf.grown(held)
        return outcome

    def note(self, tenant: str, entry: LogEntry) -> None:
        if self._shelf is not None:
            self._shelf.note(tenant, entry)

    async def entries(self, tenant: str, query: EntryQuery) -> tuple[LogEntry, ...]:
        held = await self._readable(tenant)
        found, older = held.log.newest(query)
        if older:
            told = _Teller(held)
            with held.used():
                found = await _reading(held.run(lambda: read_page(held.disk, held.folder, query, found, older, told)))
        return tuple(found)

    async def tally(self, tenant: str, since: str) -> Tally:
        held = await self._readable(tenant)
        log, told = held.log, _Teller(held)
        segments, tail, ring = log.segments, tuple(log.tail), tuple(log.ring.entries.values())
        with held.used():
            return await _reading(
                held.run(lambda: read_tally(held.disk, held.folder, segments, tail, ring, since, told))
            )

    async def verify(self, tenant: str, head: Head | None = None) -> ChainReport:
        held = await self._readable(tenant)
        with held.used():
            return await self._verified(held, head)

    async def _verified(self, held: Tenant, head: Head | None) -> ChainReport:
        async with held.keeping:
            log, newest = held.log, held.state.head
            segments, anchor, first = log.segments, log.anchor, held.generation

            def walk() -> ChainReport:
                found = journals(held.disk, held.folder)
                paths = [path for number, path in sorted(found.items()) if number >= first]
                problems: list[str] = []
                chain = read_chain(held.disk, held.folder, segments, paths, problems)
                return walked(chain, anchor, newest, head, problems)

            return await _reading(held.run(walk))

    async def notices(self, tenant: str, after: int, limit: int = 500) -> tuple[StoredNotice, ...] | None:
        return (await self._readable(tenant)).told.after(after, limit)

    async def wait(self, tenant: str, after: int) -> None:
        await (await self._readable(tenant)).told.wait(after)

    async def state(self, tenant: str) -> StoreState:
        try:
            return (await self.shelf.get(tenant)).store_state()
        except StorageUnavailable as error:
            return StoreState("read_only", error.detail)

    async def troubled(self) -> Mapping[str, StoreState]:
        return await self.shelf.troubled()

    async def fold(self, tenant: str) -> None:
        held = await self.shelf.get(tenant)
        with held.used():
            await held.flush_ring()
            try:
                await fold(held, self._keep_days)
            except OSError as error:
                raise refusal(error) from None
            except Damaged as error:
                held.distrust(f"a log segment {error.reason}")

    async def backup(self, tenant: str, target: Path) -> None:
        held = await self._readable(tenant)
        with held.used():
            await self._backed_up(held, target)

    async def _backed_up(self, held: Tenant, target: Path) -> None:
        async with held.keeping:
            log = held.log
            frozen, anchor, segments = snapshot(held.state), log.anchor, log.segments
            tail, ring = tuple(log.tail), tuple(log.ring.entries.values())
            await held.run(lambda: backup.backup(held.disk, held.folder, target, frozen, anchor, segments, tail, ring))

    async def restore(self, tenant: str, source: Path) -> None:
        await self.shelf.make(tenant, lambda: backup.restore(self._disk, self.shelf.home, tenant, source))

    async def rename(self, tenant: str, name: str) -> None:
        await self.shelf.rename(tenant, name)

    async def migrate(self) -> tuple[str, ...]:
        refuse = "start the version that wrote it, or restore a backup of this one"
        names = sorted(self.shelf.names)
        if newer := await asyncio.to_thread(newer_files, self._disk, self.shelf.home, names):
            raise SetupError([f"tenant {tenant}: {why}; {refuse}" for tenant, why in newer.items()])
        return ()

    async def check(self, tenant: str) -> tuple[str, ...]:
        held = await self.shelf.get(tenant)
        with held.used():
            return await self._checked(held)

    async def _checked(self, held: Tenant) -> tuple[str, ...]:
        problems = list(held.reasons)
        if held.store_state().mode == "read_only":
            problems.append(held.store_state().reason)
        if held.torn:
            problems.append(f"{held.torn} unfinished line(s) were dropped when the tenant was opened after a crash")
        async with held.keeping:
            segments = held.log.segments
            problems += await _reading(held.run(lambda: examine(held.disk, held.folder, segments)))
        if held.readable:
            problems += (await self._verified(held, None)).problems
        return tuple(dict.fromkeys(problems))

    async def documents(self, tenant: str, collection: str) -> AsyncIterator[Document]:
        rows = dict((await self._readable(tenant)).state.collection(collection).rows)
        for number, id_ in enumerate(sorted(rows), 1):
            yield Document(collection, id_, rows[id_][0], rows[id_][1])
            if number % 200 == 0:
                await asyncio.sleep(0)


async def _reading(work: asyncio.Future[T]) -> T:
    try:
        return await work
    except OSError as error:
        raise StorageUnavailable(f"The log cannot be read: {error.strerror}.", retry_after=5) from None


class _Teller:
    """Takes what a reading thread finds damaged to the loop."""

    def __init__(self, held: Tenant) -> None:
        self._held, self._loop = held, asyncio.get_running_loop()

    def __call__(self, segment: Segment, error: Damaged) -> None:
        self._loop.call_soon_threadsafe(self._tell, segment, error)

    def _tell(self, segment: Segment, error: Damaged) -> None:
        if segment in self._held.log.segments:  # else a fold has replaced it in the meantime
            self._held.distrust(f"{segment.name} {error.reason}")

"""The default storage backend: a folder of journaled, TinyDB-readable files for each tenant."""

# ruff: noqa: D102 -- StorageBackend documents each call

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from threading import Thread

from crm_core.errors import SetupError, StorageUnavailable
from crm_core.model.log import Head, LogEntry
from crm_core.plugin.storage import (
    ChainReport,
    ChangePage,
    Committed,
    Conflict,
    Document,
    EntryQuery,
    IndexValue,
    Page,
    PageQuery,
    Part,
    Read,
    StorageBackend,
    StorageContext,
    StoredChange,
    StoreState,
    Summary,
    Tally,
    Unit,
    View,
)
from crm_tinydb import backup
from crm_tinydb.change_log import fresh_epoch
from crm_tinydb.change_reading import changes_after, history_of
from crm_tinydb.disk import Disk, RealDisk
from crm_tinydb.doctor import checked, verified
from crm_tinydb.dump import Loading, dump, read_mark, write_mark
from crm_tinydb.erasures import FOLD_AFTER, Erasures, commit_marked, marked
from crm_tinydb.folding import KeepDays, fold, fold_if_due
from crm_tinydb.formats import newer_files
from crm_tinydb.group_commit import refusal
from crm_tinydb.log_reading import entries_of, tally_of
from crm_tinydb.moments import documents_of, moment_of
from crm_tinydb.open_tenants import OpenTenants
from crm_tinydb.paging import read_page
from crm_tinydb.segments import SegmentDamaged
from crm_tinydb.tenant import Tenant
from crm_tinydb.workers import ThreadFactory

_NEWER = "start the version that wrote it, or restore a backup of this one"


class TinyDBBackend(StorageBackend):
    """Per-tenant folders under ``tenants_dir``. ``options``: ``max_open`` (open tenants, 256)."""

    NAME = "tinydb"
    EXCLUSIVE = True

    def __init__(
        self,
        disk: Disk | None = None,
        thread: ThreadFactory = Thread,
        epoch: Callable[[], str] = fresh_epoch,
        fold_erased_after: float = FOLD_AFTER,
    ) -> None:
        self._disk, self._thread, self._epoch = disk or RealDisk(), thread, epoch
        self._open_tenants: OpenTenants | None = None
        self._keep = KeepDays(0, 0)
        self._erasures = Erasures(self._fold_erased, fold_erased_after)

    @property
    def open_tenants(self) -> OpenTenants:
        """The open tenants."""
        if self._open_tenants is None:
            raise StorageUnavailable("The storage is not open.")
        return self._open_tenants

    async def open(self, context: StorageContext) -> None:
        limit = context.options.get("max_open", 256)
        if unknown := set(context.options) - {"max_open"}:
            raise SetupError([f"storage: unknown option {name}; tinydb has only max_open" for name in sorted(unknown)])
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise SetupError(["storage: max_open must be a whole number, 1 or more; change it"])
        self._keep = KeepDays(context.log_keep_days, context.changes_keep_days)
        open_tenants = OpenTenants(self._disk, context, limit, self._thread, self._epoch)
        try:
            await open_tenants.scan()
        except OSError as error:
            await open_tenants.close()
            raise SetupError([f"{context.tenants_dir} cannot be used: {error.strerror}"]) from None
        self._open_tenants = open_tenants
        self._erasures.add(await self._marked(open_tenants.names))

    async def close(self) -> None:
        if self._open_tenants is not None:
            await self._erasures.close()
            await self._open_tenants.close()
            self._open_tenants = None

    async def tenants(self) -> list[str]:
        return list(self.open_tenants.names)

    async def count_tenants(self) -> int:
        return len(self.open_tenants.names)

    async def has(self, tenant: str) -> bool:
        return tenant in self.open_tenants.names

    async def create(self, tenant: str) -> None:
        folder, epoch = self.open_tenants.tenants_dir, self._epoch()
        await self.open_tenants.add(tenant, lambda: backup.create(self._disk, folder, tenant, epoch))

    async def _readable(self, tenant: str) -> Tenant:
        store = self.open_tenants.find_open(tenant) or await self.open_tenants.get(tenant)
        store.check_readable()
        return store

    async def view(self, tenant: str, seen: int | None) -> View:
        state = (await self._readable(tenant)).state
        documents = state.sections() if seen != state.revision else None
        return View(state.revision, state.seq, state.head, documents, state.epoch)

    async def view_and_claims(
        self, tenant: str, seen: int | None, claims: Sequence[tuple[str, str]]
    ) -> tuple[View, list[bytes | None]]:
        view, stored = await self.view(tenant, seen), (await self._readable(tenant)).state.claims
        return view, [stored.get(each, (None,))[0] for each in claims]

    async def get(self, tenant: str, collection: str, id: str) -> Read:  # noqa: A002 -- the interface's word
        state = (await self._readable(tenant)).state
        return Read(state.collection(collection).document(id), state.revision, state.epoch)

    async def find(self, tenant: str, collection: str, index: str, value: IndexValue) -> Read:
        store = await self._readable(tenant)
        await store.prepare([(collection, index)])
        id_ = next((table := store.state.collection(collection)).ids_with(index, value), None)
        return Read(None if id_ is None else table.document(id_), store.state.revision)

    async def page(self, tenant: str, query: PageQuery) -> Page:
        store = await self._readable(tenant)
        store.users += 1  # or its memory could be freed meanwhile
        try:
            return await read_page(store.state, query, store.prepare)
        finally:
            store.users -= 1

    async def count(self, tenant: str, collection: str) -> int:
        return len((await self._readable(tenant)).state.collection(collection).rows)

    async def collections(self, tenant: str) -> tuple[str, ...]:
        found = (await self._readable(tenant)).state.collections
        return tuple(sorted(name for name, one in found.items() if one.rows))

    async def claim(self, tenant: str, kind: str, key: str) -> bytes | None:
        return (await self._readable(tenant)).state.claims.get((kind, key), (None,))[0]

    async def commit(self, tenant: str, unit: Unit) -> Committed | Conflict:
        store = self.open_tenants.find_open(tenant) or await self.open_tenants.get(tenant)
        store.users += 1
        try:
            if any(entry.change == "erased" for entry in unit.changes):
                try:
                    outcome = await commit_marked(store, unit)
                finally:  # also if the caller left: the unit may be in the queue
                    self._erasures.add([tenant])
            else:
                outcome = await store.commit(unit)
        finally:
            store.users -= 1
        fold_if_due(store, self._keep)
        return outcome

    def note(self, tenant: str, entry: LogEntry) -> None:
        if self._open_tenants is not None:
            self._open_tenants.note(tenant, entry)

    async def entries(self, tenant: str, query: EntryQuery) -> tuple[LogEntry, ...]:
        return await entries_of(await self._readable(tenant), query)

    async def tally(self, tenant: str, since: str) -> Tally:
        return await tally_of(await self._readable(tenant), since)

    async def verify(self, tenant: str, head: Head | None = None) -> ChainReport:
        store = await self._readable(tenant)
        with store.in_use():
            return await verified(store, head)

    async def changes(self, tenant: str, after: int | None, limit: int = 500) -> ChangePage:
        return await changes_after(await self._readable(tenant), after, limit)

    async def history(
        self,
        tenant: str,
        type: str,  # noqa: A002 -- the interface's word
        id: str,  # noqa: A002 -- the interface's word
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[StoredChange, ...]:
        return await history_of(await self._readable(tenant), type, id, before, limit)

    async def wait(self, tenant: str, after: int) -> None:
        await (await self._readable(tenant)).waiters.wait(after)

    async def state(self, tenant: str) -> StoreState:
        try:
            return (await self.open_tenants.get(tenant)).store_state()
        except StorageUnavailable as error:
            return StoreState("read_only", error.operator_detail)

    async def summary(self, tenant: str) -> Summary:
        if (stored := await self.open_tenants.stored_summary(tenant)) is not None:
            return stored
        was_open = self.open_tenants.find_open(tenant) is not None
        try:
            return await super().summary(tenant)
        finally:
            if not was_open:
                self.open_tenants.close_idle(tenant)

    async def troubled(self) -> Mapping[str, StoreState]:
        return await self.open_tenants.troubled()

    async def fold(self, tenant: str) -> None:
        store = await self.open_tenants.get(tenant)
        with store.in_use():
            await store.flush_ring()
            try:
                await fold(store, self._keep)
            except OSError as error:
                raise refusal(error) from None
            except SegmentDamaged as error:
                store.report_damage(error)

    async def _fold_erased(self, tenant: str) -> bool:
        await self.fold(tenant)
        return not await self._marked([tenant])

    async def _marked(self, names: Iterable[str]) -> list[str]:
        return await asyncio.to_thread(marked, self._disk, self.open_tenants.tenants_dir, names)

    async def backup(self, tenant: str, target: Path) -> None:
        store = await self._readable(tenant)
        with store.in_use():
            async with store.maintenance:
                moment = await moment_of(store)
                await store.run(lambda: backup.backup(*moment, target))

    async def restore(self, tenant: str, source: Path) -> None:
        folder, epoch = self.open_tenants.tenants_dir, self._epoch()
        await self.open_tenants.add(tenant, lambda: backup.restore(self._disk, folder, tenant, source, epoch))

    async def dump(self, tenant: str) -> AsyncGenerator[Part, None]:
        async for part in dump(await self._readable(tenant)):
            yield part

    async def load(self, tenant: str, parts: AsyncIterator[Part]) -> None:
        folder, loading = self.open_tenants.tenants_dir, Loading()
        async for part in parts:
            loading.add(part)
        content = loading.folded()
        await self.open_tenants.add(
            tenant, lambda: backup.write_tenant(self._disk, folder, tenant, content, content.summary.epoch)
        )

    async def mark(self) -> bytes:
        return read_mark(self._disk, self.open_tenants.tenants_dir)

    async def set_mark(self, mark: bytes) -> None:
        write_mark(self._disk, self.open_tenants.tenants_dir, mark)

    async def rename(self, tenant: str, name: str) -> None:
        await self.open_tenants.rename(tenant, name)
        self._erasures.add(await self._marked([name]))

    async def remove(self, tenant: str) -> None:
        await self.open_tenants.remove(tenant)

    async def migrate(self) -> tuple[str, ...]:
        names = list(self.open_tenants.names)
        if newer := await asyncio.to_thread(newer_files, self._disk, self.open_tenants.tenants_dir, names):
            raise SetupError([f"tenant {tenant}: {why}; {_NEWER}" for tenant, why in newer.items()])
        return ()

    async def check(self, tenant: str) -> tuple[str, ...]:
        store = await self.open_tenants.get(tenant)
        with store.in_use():
            return await checked(store)

    async def documents(self, tenant: str, collection: str) -> AsyncIterator[Document]:
        async for document in documents_of(await self._readable(tenant), collection):
            yield document

    async def scan(self, tenant: str, collection: str) -> AsyncGenerator[Sequence[bytes], None]:
        store = await self._readable(tenant)
        with store.in_use():
            for some in store.state.collection(collection).bodies():
                yield some

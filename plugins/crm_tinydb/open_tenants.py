"""The open tenants: opened on first use; beyond the limit the least recently used are closed."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress

from crm_core.errors import SetupError, StorageUnavailable, UnknownTenant
from crm_core.model.log import LogEntry
from crm_core.plugin.storage import StorageContext, StoreState, Summary
from crm_tinydb.backup import check_free, discard, found_tenants, fresh_name, move, remove
from crm_tinydb.closed_tenants import GONE, ClosedTenants, unreadable
from crm_tinydb.disk import Disk, gone
from crm_tinydb.early_attempts import EarlyAttempts
from crm_tinydb.formats import NewerStore
from crm_tinydb.names import TenantNames
from crm_tinydb.opening import MARKER, open_tenant
from crm_tinydb.refusals import files_unreadable
from crm_tinydb.summaries import read_summary, write_summary
from crm_tinydb.tenant import Tenant
from crm_tinydb.workers import ThreadFactory, Workers

APPENDERS = 32  # tenants that can sync at the same time; more results in a turn of the loop than of few
WORKERS = 8  # folds, openings and log reads at the same time, apart from commits
FLUSH_AFTER = 0.4  # seconds until unverified attempts are written


class OpenTenants:
    """All tenants of a folder, and those that are open."""

    def __init__(
        self, disk: Disk, context: StorageContext, limit: int, thread: ThreadFactory, epoch: Callable[[], str]
    ) -> None:
        self.disk, self.tenants_dir = disk, context.tenants_dir
        self.names = TenantNames()
        self._limit, self._max_unverified, self._digest = limit, context.log_max_unverified, context.digest
        self._open: OrderedDict[str, Tenant] = OrderedDict()
        self._reindex, self._epoch = context.reindex, epoch
        self._awaited: Counter[str] = Counter()
        self._opening, self._closing = dict[str, asyncio.Task[None]](), dict[str, asyncio.Task[None]]()
        self._adding = asyncio.Lock()  # one tenant is added or renamed at a time
        self._moving, self._creating = set[str](), set[str]()  # folders that move; those that are being written
        self._closed = ClosedTenants(disk, context.tenants_dir)
        self._early_attempts = EarlyAttempts(context.log_max_unverified)
        self._flusher: asyncio.Task[None] | None = None
        self._workers = Workers(WORKERS, "crm-tinydb", thread)
        self._appenders = Workers(APPENDERS, "crm-tinydb-append", thread)

    async def scan(self) -> None:
        """Find the tenants, and remove leftovers of interrupted creations. Raises OSError."""
        self.names = TenantNames(await self._workers.run(lambda: found_tenants(self.disk, self.tenants_dir)))
        await self._workers.run(lambda: self._closed.look_at_all(self.names))

    def find_open(self, name: str) -> Tenant | None:
        """The tenant, if it is open; needs no task and no wait. Close it if an admin has ended its quarantine."""
        tenant = self._open.get(name)
        if tenant is None:
            return None
        if tenant.has_marker and gone(self.disk, self.tenants_dir / name / MARKER):
            self._evict(name)
            return None
        self._open.move_to_end(name)
        return tenant

    async def get(self, name: str) -> Tenant:
        """The tenant, opened if necessary. Raises UnknownTenant, StorageUnavailable.

        It stays open until the caller next waits, or while it is ``in_use``.
        """
        self._awaited[name] += 1  # or the next tenant to open could close it before the caller gets it
        try:
            while (tenant := self.find_open(name)) is None:
                await self._open_or_wait(name)
            return tenant
        finally:
            self._awaited[name] -= 1
            if not self._awaited[name]:
                del self._awaited[name]

    async def _open_or_wait(self, name: str) -> None:
        if name in self._closing:
            await asyncio.wait({self._closing[name]})
            return
        if name not in self.names:
            raise UnknownTenant
        if name in self._moving:
            raise StorageUnavailable("The tenant's folder is being replaced. Try again in a moment.", retry_after=1)
        task = self._opening.get(name)
        if task is None:
            task = self._opening[name] = asyncio.create_task(self._load(name))
        await asyncio.shield(task)

    async def _load(self, name: str) -> None:
        try:
            opened = await self._workers.run(
                lambda: open_tenant(self.disk, self.tenants_dir / name, self._max_unverified, self._reindex)
            )
            opened.state.epoch = opened.state.epoch or self._epoch()  # of an earlier version: its next unit stores it
            tenant = Tenant(opened, self._workers, self._appenders)
            for entry in self._early_attempts.take(name):
                tenant.log.ring.add(entry)
            self._open[name] = tenant
            self._closed.forget(name)
            self._evict_idle()
            tenant.freeze_if_large()
        except NewerStore as error:
            self._closed.add_newer(name)
            raise files_unreadable(str(error), retry_after=60) from None
        except OSError as error:
            reason = GONE if gone(self.disk, self.tenants_dir / name) else unreadable(error)
            self._closed.add_unreadable(name, reason)
            raise files_unreadable(reason, retry_after=5) from None
        finally:
            del self._opening[name]

    async def troubled(self) -> dict[str, StoreState]:
        """The tenants known to accept no writes: open ones by their state, others by their files, a few per call."""
        due = self._closed.due(self.names, self._is_closed)
        seen = await self._workers.run(lambda: self._closed.look(due))
        self._closed.record([name for name in due if self._is_closed(name)], seen)
        found = self._closed.troubled(self._is_closed)
        for name in list(self._open):
            if tenant := self.find_open(name):
                found[name] = tenant.store_state()
        return {name: state for name, state in sorted(found.items()) if state.mode != "ok"}

    def _is_closed(self, name: str) -> bool:
        return name in self.names and name not in self._open and name not in self._moving

    def _evict_idle(self) -> None:
        for name in list(self._open):
            if len(self._open) <= self._limit:
                return
            if name not in self._awaited and self._open[name].idle:
                self._evict(name)

    def _evict(self, name: str) -> None:
        tenant = self._open.pop(name)
        self._closed.add_closed(name)

        async def closing() -> None:
            try:
                await tenant.close()
                await write_summary(tenant, self._digest)
            finally:
                del self._closing[name]
            await tenant.free()

        self._closing[name] = asyncio.create_task(closing())

    async def stored_summary(self, name: str) -> Summary | None:
        """The summary that was written when a tenant was closed; None if it is open, or must be opened for one."""
        if self._is_closed(name) and name not in self._opening and name not in self._closing:
            return await self._workers.run(lambda: read_summary(self.disk, self.tenants_dir / name))
        return None

    def close_idle(self, name: str) -> None:
        """Close a tenant that was opened for its summary, unless it is in use."""
        if name in self._open and name not in self._awaited and self._open[name].idle:
            self._evict(name)

    def note(self, name: str, entry: LogEntry) -> None:
        """Record an unverified attempt; it is written soon."""
        if name not in self.names:
            return
        if (tenant := self._open.get(name)) is not None:
            tenant.log.ring.add(entry)
        else:
            self._early_attempts.add(name, entry)
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while True:
                await asyncio.sleep(FLUSH_AFTER)
                await self._open_for_attempts()
                dirty = [tenant for tenant in self._open.values() if tenant.log.ring.dirty and not tenant.reasons]
                if not dirty and not self._early_attempts.tenants:
                    return
                await asyncio.gather(*(tenant.flush_ring() for tenant in dirty))
        finally:
            self._flusher = None

    async def _open_for_attempts(self) -> None:
        """Open the tenants with early attempts, which adds these to their rings."""
        for name in self._early_attempts.tenants:
            try:
                await self.get(name)
            except (StorageUnavailable, UnknownTenant):
                if name not in self.names:
                    self._early_attempts.take(name)

    async def add(self, name: str, write_files: Callable[[], None]) -> None:
        """Add a tenant, whose files ``write_files`` writes, in a thread, under its ``fresh_name``.

        An open tenant of that name whose folder is gone is closed, but only after the new files are written: until
        then its memory may be all that is left. Raises SetupError if the name exists or is invalid.
        """
        check_free(self.disk, self.tenants_dir, name)
        self._check_not_created(name)
        self._creating.add(name)
        try:
            await self._workers.run(write_files)
            async with self._adding:
                check_free(self.disk, self.tenants_dir, name)
                self._moving.add(name)  # no request may open the folder while it is replaced
                try:
                    await self._release(name)
                    await self._move(fresh_name(name), name)
                finally:
                    self._moving.discard(name)
        except (OSError, SetupError) as error:
            with suppress(OSError):
                await self._workers.run(lambda: discard(self.disk, self.tenants_dir / fresh_name(name)))
            if isinstance(error, SetupError):
                raise
            raise SetupError([f"tenant {name} cannot be created in {self.tenants_dir}: {error.strerror}"]) from None
        finally:
            self._creating.discard(name)

    def _check_not_created(self, name: str) -> None:
        if name in self._creating:
            raise SetupError([f"tenant {name} is being created: wait for the other command"])

    async def _move(self, old: str, new: str) -> None:
        """Rename a folder. If only its sync fails, the tenant is known by the new name too. Raises OSError."""
        try:
            await self._workers.run(lambda: move(self.disk, self.tenants_dir, old, new))
        except OSError:
            if gone(self.disk, self.tenants_dir / old) and not gone(self.disk, self.tenants_dir / new):
                self._know(old, new)
            raise
        self._know(old, new)

    def _know(self, old: str, new: str) -> None:
        for name in (old, new):
            self._closed.forget(name)
        self.names.discard(old)
        self.names.add(new)

    async def _release(self, name: str) -> None:
        """Close a tenant if it is open or being opened."""
        if name in self._opening:
            await asyncio.wait({self._opening[name]})
        if name in self._open:
            self._evict(name)
        if name in self._closing:
            await asyncio.wait({self._closing[name]})

    async def rename(self, old: str, new: str) -> None:
        """Close a tenant and move its folder. Raises UnknownTenant, SetupError."""
        async with self._adding:
            if old not in self.names:
                raise UnknownTenant
            check_free(self.disk, self.tenants_dir, new)
            self._moving |= {old, new}
            try:
                for name in (old, new):
                    await self._release(name)
                await self._move(old, new)
            except OSError as error:
                raise SetupError([f"tenant {old} cannot be renamed: {error.strerror}"]) from None
            finally:
                self._moving -= {old, new}

    async def remove(self, name: str) -> None:
        """Close a tenant and delete its folder, whole or at the next start. Raises UnknownTenant, SetupError."""
        async with self._adding:
            if name not in self.names:
                raise UnknownTenant
            self._check_not_created(name)
            self._moving.add(name)
            try:
                await self._release(name)
                await self._workers.run(lambda: remove(self.disk, self.tenants_dir, name))
            except OSError as error:
                raise SetupError([f"tenant {name} cannot be removed completely: {error.strerror}"]) from None
            finally:
                self._moving.discard(name)
                if gone(self.disk, self.tenants_dir / name):
                    self.names.discard(name)

    async def close(self) -> None:
        """Make everything durable, close all tenants, end the threads."""
        for task in list(self._opening.values()):
            await asyncio.wait({task})
        await self._open_for_attempts()
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.wait({self._flusher})
        for name in list(self._open):
            self._evict(name)
        if self._closing:
            await asyncio.wait(set(self._closing.values()))
        self._workers.close()
        self._appenders.close()

"""The open tenants: opened when first asked for, the one longest unused closed when there are too many."""

from __future__ import annotations

import asyncio
import gc
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path

from crm_core.errors import SetupError, StorageUnavailable, UnknownTenant
from crm_core.model.log import LogEntry
from crm_core.plugin.query import StoreState
from crm_tinydb.backup import discard, fresh_name, move
from crm_tinydb.disk import Disk
from crm_tinydb.folding import fold
from crm_tinydb.formats import NewerStore, newer_files, newer_identities
from crm_tinydb.framing import Damaged
from crm_tinydb.opening import MARKER, open_tenant
from crm_tinydb.tenant import FOLD_AT, Tenant
from crm_tinydb.workers import Workers

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
APPENDERS = 4  # tenants whose syncs can be under way side by side
LARGE = 5_000  # documents of a tenant that the garbage collector is spared
WORKERS = 8  # folds, openings and readings of the log, which must not keep commits waiting
FLUSH_AFTER = 0.4  # seconds until unverified attempts go to the disk
_MARKED = "The tenant is read-only: its files were found damaged; crm doctor says how."
_GONE = "The tenant's folder is gone: put it back, or restore a backup (crm tenant restore)."


class OpenTenants:
    """Which tenants there are, and those that are open."""

    def __init__(self, disk: Disk, home: Path, limit: int, bound: int, keep_days: int) -> None:
        self.disk, self.home = disk, home
        self.names: set[str] = set()
        self._limit, self._bound, self._keep_days = limit, bound, keep_days
        self._open: OrderedDict[str, Tenant] = OrderedDict()
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._wanted: Counter[str] = Counter()
        self._closing: dict[str, asyncio.Task[None]] = {}
        self._changing = asyncio.Lock()  # one tenant is made or renamed at a time
        self._moving: set[str] = set()
        self._newer: set[str] = set()  # tenants that were last seen with a file of a newer format
        self._notes: dict[str, dict[str, LogEntry]] = {}  # attempts on tenants that are not open
        self._flusher: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers = Workers(WORKERS, "crm-tinydb")
        self._appenders = Workers(APPENDERS, "crm-tinydb-append")

    async def scan(self) -> None:
        """Learn the tenants' names and remove what an interrupted creation left. Raises OSError."""

        def look() -> list[str]:
            self.disk.make_folder(self.home)
            names = self.disk.names(self.home)
            for name in names:
                if name.startswith(".new-"):
                    discard(self.disk, self.home / name)
            return names

        names = await self._workers.run(look)
        self.names = {n for n in names if NAME.fullmatch(n) and self._is_folder(n)}
        self._newer = await self._workers.run(lambda: newer_identities(self.disk, self.home, self.names))

    def _is_folder(self, name: str) -> bool:
        try:
            self.disk.names(self.home / name)
        except OSError as error:
            return not isinstance(error, NotADirectoryError)
        return True

    def at_hand(self, name: str) -> Tenant | None:
        """The tenant, if it is open: costs no task and no wait. One whose quarantine was ended is opened anew."""
        held = self._open.get(name)
        if held is None:
            return None
        if held.marked and not self.disk.exists(self.home / name / MARKER):
            self._put_away(name)
            return None
        self._open.move_to_end(name)
        return held

    async def get(self, name: str) -> Tenant:
        """The tenant, opened where it is not. Raises UnknownTenant, StorageUnavailable.

        It stays open until the caller next waits, and longer only while it is ``used``.
        """
        self._wanted[name] += 1  # or the next tenant that opens would close it before the caller has it
        try:
            while (held := self.at_hand(name)) is None:
                await self._opened(name)
            return held
        finally:
            self._wanted[name] -= 1
            if not self._wanted[name]:
                del self._wanted[name]

    async def _opened(self, name: str) -> None:
        if name in self._closing:
            await asyncio.wait({self._closing[name]})
            return
        if name not in self.names:
            raise UnknownTenant
        if name in self._moving:
            raise StorageUnavailable("The tenant's folder is being put in place; repeat in a moment.", retry_after=1)
        task = self._opening.get(name)
        if task is None:
            task = self._opening[name] = asyncio.create_task(self._load(name))
        await asyncio.shield(task)

    async def _load(self, name: str) -> None:
        try:
            opened = await self._workers.run(lambda: open_tenant(self.disk, self.home / name, self._bound))
            tenant = Tenant(opened, self._workers, self._appenders)
            for entry in self._notes.pop(name, {}).values():
                tenant.log.ring.add(entry)
            self._open[name] = tenant
            self._newer.discard(name)
            self._make_room()
            if sum(len(held.rows) for held in tenant.state.collections.values()) >= LARGE:
                # What stays for long must not be walked through by each full collection: with 50,000 records that
                # is some 10 ms in which nobody is answered. Counting references frees it all the same.
                gc.collect(1)
                gc.freeze()
        except NewerStore as error:
            self._newer.add(name)
            raise StorageUnavailable(str(error), retry_after=60) from None
        except OSError as error:
            reason = f"The tenant's files cannot be read ({error.strerror or 'the disk failed'})."
            there = self.disk.exists(self.home / name)
            raise StorageUnavailable(reason if there else _GONE, retry_after=5) from None
        finally:
            del self._opening[name]

    async def troubled(self) -> dict[str, StoreState]:
        """The tenants that take no writes: open ones as they are, the others by what can be seen from outside."""
        closed = [name for name in self.names if name not in self._open and name not in self._moving]
        suspects = self._newer.intersection(closed)

        def look() -> dict[str, StoreState]:
            marked = {name for name in closed if self.disk.exists(self.home / name / MARKER)}
            gone = {name for name in closed if not self.disk.exists(self.home / name)}
            found = dict.fromkeys(marked, StoreState("quarantined", _MARKED))
            found |= dict.fromkeys(gone, StoreState("read_only", _GONE))
            newer = newer_files(self.disk, self.home, suspects)
            return found | {name: StoreState("read_only", str(NewerStore(why))) for name, why in newer.items()}

        found = await self._workers.run(look)
        held = {name: self.at_hand(name) for name in list(self._open)}
        found |= {name: tenant.store_state() for name, tenant in held.items() if tenant is not None}
        return {name: state for name, state in sorted(found.items()) if state.mode != "ok"}

    def _make_room(self) -> None:
        for name in list(self._open):
            if len(self._open) <= self._limit:
                return
            if name not in self._wanted and self._open[name].idle:
                self._put_away(name)

    def _put_away(self, name: str) -> asyncio.Task[None]:
        tenant = self._open.pop(name)

        async def closing() -> None:
            try:
                await tenant.close()
            finally:
                del self._closing[name]

        task = self._closing[name] = asyncio.create_task(closing())
        return task

    def grown(self, tenant: Tenant) -> None:
        """After a commit: fold in the background where the journal has become long."""
        journal = tenant.flights.journal
        if journal is None or tenant.folding or journal.length < tenant.fold_at:
            return
        tenant.folding = True
        task = asyncio.create_task(self._fold(tenant))
        self._tasks.add(task)
        tenant.tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(tenant.tasks.discard)

    async def _fold(self, tenant: Tenant) -> None:
        try:
            await fold(tenant, self._keep_days)
        except OSError:  # the journal goes on; the next attempt comes when it has grown as much again
            tenant.fold_at += FOLD_AT
        except Damaged as error:
            tenant.distrust(f"a log segment {error.reason}")
        finally:
            tenant.folding = False

    def note(self, name: str, entry: LogEntry) -> None:
        """Take an unverified attempt; the disk sees it soon."""
        if name not in self.names:
            return
        held = self._open.get(name)
        if held is not None:
            held.log.ring.add(entry)
        else:
            waiting = self._notes.setdefault(name, {})
            waiting[entry.id] = entry
            if len(waiting) > self._bound:
                del waiting[next(iter(waiting))]
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while True:
                await asyncio.sleep(FLUSH_AFTER)
                for name in list(self._notes):
                    try:
                        await self.get(name)
                    except (StorageUnavailable, UnknownTenant):
                        if name not in self.names:
                            self._notes.pop(name, None)
                dirty = [tenant for tenant in self._open.values() if tenant.log.ring.dirty and not tenant.reasons]
                if not dirty and not self._notes:
                    return
                await asyncio.gather(*(tenant.flush_ring() for tenant in dirty))
        finally:
            self._flusher = None

    async def make(self, name: str, lay_out: Callable[[], None]) -> None:
        """Add a tenant, whose files a thread lays out under its ``fresh_name``.

        One of that name whose folder is gone is let go, but only once the new files lie there: until then its memory
        may be all that is left of it. Raises SetupError where the name is taken or unusable.
        """
        async with self._changing:
            self._check_free(name)
            try:
                await self._workers.run(lay_out)
                self._moving.add(name)  # nobody opens a folder that appears under their hands
                await self._let_go(name)
                await self._workers.run(lambda: move(self.disk, self.home, fresh_name(name), name))
            except OSError as error:
                raise SetupError([f"tenant {name} cannot be made in {self.home}: {error.strerror}"]) from None
            finally:
                self._moving.discard(name)
            self.names.add(name)

    async def _let_go(self, name: str) -> None:
        """Close a tenant, if it is open or about to be."""
        if name in self._opening:
            await asyncio.wait({self._opening[name]})
        if name in self._open:
            self._put_away(name)
        if name in self._closing:
            await asyncio.wait({self._closing[name]})

    def _check_free(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise SetupError([f"{name!r} cannot be a tenant's name: use a-z, 0-9 and inner hyphens, at most 63"])
        if self.disk.exists(self.home / name):
            raise SetupError([f"tenant {name} exists already: name another, or move its folder away first"])

    async def rename(self, old: str, new: str) -> None:
        """Close a tenant and move its folder. Raises UnknownTenant, SetupError."""
        async with self._changing:
            if old not in self.names:
                raise UnknownTenant
            self._check_free(new)
            self._moving |= {old, new}
            try:
                for name in (old, new):
                    await self._let_go(name)
                await self._workers.run(lambda: move(self.disk, self.home, old, new))
            except OSError as error:
                raise SetupError([f"tenant {old} cannot be renamed: {error.strerror}"]) from None
            finally:
                self._moving -= {old, new}
            self.names.discard(old)
            self.names.add(new)

    async def close(self) -> None:
        """Make everything durable, close every tenant, end the threads."""
        for task in list(self._opening.values()):
            await asyncio.wait({task})
        for name in list(self._notes):
            try:
                await self.get(name)
            except (StorageUnavailable, UnknownTenant):
                continue
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.wait({self._flusher})
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        for name in list(self._open):
            self._put_away(name)
        if self._closing:
            await asyncio.wait(set(self._closing.values()))
        self._workers.close()
        self._appenders.close()

"""One open tenant: units are tested and queued on the loop, one writer makes them durable in groups."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import msgspec

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.query import StoreState, Told
from crm_core.plugin.unit import Committed, Conflict, Notice, Unit
from crm_tinydb.ahead import Ahead
from crm_tinydb.change import Change, encode
from crm_tinydb.journal import Journal
from crm_tinydb.lines import sealed
from crm_tinydb.opening import Opened, quarantine

T = TypeVar("T")
NOTICES = 4096  # units whose notices are remembered
PROBE_EVERY = 1.0  # seconds between attempts to write again
GROUP = 4 << 20  # bytes that one sync carries at most


class Queued(msgspec.Struct):
    """A unit on its way to the disk."""

    change: Change
    line: bytes
    notices: tuple[Notice, ...]
    answer: asyncio.Future[Committed]
    committed: Committed


def refusal(error: OSError) -> StorageFull | StorageUnavailable:
    """What the caller is told about a failed write."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull("The disk has no space for the write; free some, then repeat.", retry_after=5)
    return StorageUnavailable("The tenant's files cannot be written at present; repeat later.", retry_after=5)


class Tenant:
    """State, queue and writer of one tenant. All methods run on the loop; only ``_run`` leaves it."""

    def __init__(self, opened: Opened, pool: Executor) -> None:
        self.folder, self.disk = opened.folder, opened.disk
        self.state, self.log, self.torn = opened.state, opened.log, opened.torn
        self.generation = opened.generation
        self.reasons = opened.reasons
        self.readable = opened.journal is not None
        self.journal: Journal | None = opened.journal
        self.writing = asyncio.Lock()  # one batch, or the change to a new journal
        self.keeping = asyncio.Lock()  # one fold, backup or rename
        self.waiting: set[asyncio.Future[None]] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._pool = pool
        self._ahead = Ahead(self.state)
        self._queue: deque[Queued] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._failure: OSError | None = None
        self._probe: asyncio.Task[None] | None = None
        self._told: deque[Told] = deque()
        self._known_from = self.state.seq  # notices of units after this are all known
        self.folded_at = 0  # length of the journal at the last attempt to fold that failed
        self.folding = False

    @property
    def idle(self) -> bool:
        """Whether nothing would be missed if the tenant were closed."""
        return not (
            self._queue or self._writer or self._probe or self.tasks or self.waiting or self.log.ring.dirty
        ) and not (self.keeping.locked() or self.writing.locked())

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Work on the disk, off the loop."""
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    def store_state(self) -> StoreState:
        """What health shows."""
        if self.reasons:
            return StoreState("quarantined", f"The tenant is read-only: {'; '.join(self.reasons)}.")
        if self._failure is not None:
            return StoreState("read_only", f"Writing failed ({self._failure.strerror or self._failure}).")
        return StoreState()

    def check_readable(self) -> None:
        """Raise StorageUnavailable where no generation could be read."""
        if not self.readable:
            raise StorageUnavailable(f"The tenant's files cannot be used: {'; '.join(self.reasons)}.")

    async def commit(self, unit: Unit) -> Committed | Conflict:
        """Test, queue and wait until durable. A caller that is cancelled leaves its unit in the queue."""
        if self.reasons:
            raise StorageUnavailable("The tenant is in quarantine and takes no writes.", retry_after=60)
        if self._failure is not None:
            await asyncio.shield(self._probing(once=True))
            if self._failure is not None:
                raise refusal(self._failure)
        while (conflict := self._ahead.conflict(unit)) is not None:
            if self._queue:
                conflict = Ahead(self.state).conflict(unit)
            if conflict is not None:
                return conflict
            # It conflicts with what is still on its way to the disk, which may refuse it: to answer now could name a
            # winner that never was.
            await asyncio.wait({self._queue[-1].answer})
            if self._failure is not None:
                raise refusal(self._failure)
        return await asyncio.shield(self._enqueue(unit))

    def _enqueue(self, unit: Unit) -> asyncio.Future[Committed]:
        ahead = self._ahead
        change = ahead.take(unit)
        answer: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        committed = Committed(change.seq, change.revision, ahead.head, tuple(put.revision for put in change.puts))
        self._queue.append(Queued(change, sealed(encode(change)), unit.notices, answer, committed))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return answer

    async def _write(self) -> None:
        """The writer: everything that is queued goes to the disk in one append and one sync."""
        try:
            while self._queue:
                async with self.writing:
                    if self._failure is not None:
                        break
                    batch = self._batch()
                    data = b"".join(queued.line for queued in batch)
                    journal = self._current()
                    try:
                        await self.run(lambda: journal.append(data))  # noqa: B023 -- awaited within the turn
                    except OSError as error:
                        self.failed(error)
                        break
                    self._durable(batch)
        finally:
            self._writer = None

    def _batch(self) -> list[Queued]:
        batch: list[Queued] = []
        size = 0
        for queued in self._queue:
            size += len(queued.line)
            if batch and size > GROUP:
                break
            batch.append(queued)
        return batch

    def _current(self) -> Journal:
        if self.journal is None:
            raise StorageUnavailable("The tenant has no journal to write to.")
        return self.journal

    def _durable(self, batch: list[Queued]) -> None:
        for queued in batch:
            self._queue.popleft()
            self.state.apply(queued.change)
            self._ahead.settled(queued.change)
            self.log.tail += queued.change.entries
            self._told.extend(Told(queued.change.seq, notice) for notice in queued.notices)
            if not queued.answer.done():
                queued.answer.set_result(queued.committed)
        while len(self._told) > NOTICES:
            self._known_from = self._told.popleft().seq
        self.wake()

    def wake(self) -> None:
        """Let event streams look."""
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)
        self.waiting.clear()

    def failed(self, error: OSError) -> None:
        """A write failed: everything queued fails with it, and nothing is written until a probe succeeds."""
        self._failure = error
        queued, self._queue = self._queue, deque()
        self._ahead.clear()
        for each in queued:
            if not each.answer.done():
                each.answer.set_exception(refusal(error))
                each.answer.exception()  # a caller that went away must not make the loop complain
        self._probing(once=False)

    def _probing(self, *, once: bool) -> asyncio.Task[None]:
        """The probe under way, or a new one; the lasting one repeats until it succeeds."""
        if once:
            return asyncio.create_task(self._recover())
        if self._probe is None:
            self._probe = asyncio.create_task(self._recover_in_time())
        return self._probe

    async def _recover_in_time(self) -> None:
        try:
            while self._failure is not None:
                await asyncio.sleep(PROBE_EVERY)
                await self._recover()
        finally:
            self._probe = None

    async def _recover(self) -> None:
        async with self.writing:
            if self._failure is not None:
                try:
                    await self.run(self._current().rewrite)
                except OSError as error:
                    self._failure = error
                else:
                    self._failure = None

    def distrust(self, reason: str) -> None:
        """Damage was met while reading: no writes until an admin has looked."""
        if reason not in self.reasons:
            self.reasons.append(reason)
            reasons = list(self.reasons)

            def mark() -> None:
                try:
                    quarantine(self.disk, self.folder, reasons)
                except OSError:
                    return  # it is met again when the file is next read

            self.spawn_run(mark)

    def spawn_run(self, work: Callable[[], None]) -> None:
        """Work on the disk that nobody waits for."""

        async def running() -> None:
            await self.run(work)

        task = asyncio.create_task(running())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def notices(self, after: int, limit: int) -> tuple[Told, ...] | None:
        """Notices of later units; None where some are no longer, or not yet, known."""
        if after < self._known_from or after > self.state.seq:
            return None
        found = [told for told in self._told if told.seq > after]
        if len(found) > limit:
            last = found[limit - 1].seq  # a unit's notices stay together, or the next call would miss some
            found = [told for at, told in enumerate(found) if at < limit or told.seq == last]
        return tuple(found)

    async def flush_ring(self) -> None:
        """Bring unverified attempts to the disk; what the disk refuses waits for the next time."""
        ring = self.log.ring
        if not ring.dirty or self.reasons:
            return
        pending, whole = ring.pending(), tuple(ring.entries.values())
        try:
            await self.run(lambda: ring.write(self.disk, pending, whole))
        except OSError:
            ring.again(pending)

    async def close(self) -> None:
        """Wait for the queue, flush the ring, let go of the files."""
        if self._probe is not None:
            self._probe.cancel()
        while self._writer is not None:
            await asyncio.wait({self._writer})
        if self.tasks:
            await asyncio.wait(set(self.tasks))
        await self.flush_ring()
        self.wake()
        async with self.keeping, self.writing:
            if self.journal is not None:
                await self.run(self.journal.close)

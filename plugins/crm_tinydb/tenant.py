"""One open tenant: units are tested and queued on the loop, one writer makes them durable in groups."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import msgspec

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.query import StoreState
from crm_core.plugin.unit import Committed, Conflict, Notice, Unit
from crm_tinydb.ahead import Ahead
from crm_tinydb.change import Change, encode
from crm_tinydb.journal import NO_SPACE, Journal
from crm_tinydb.lines import sealed
from crm_tinydb.notices import Notices
from crm_tinydb.opening import Opened, quarantine
from crm_tinydb.workers import Workers

PROBE_EVERY = 1.0  # seconds between attempts to write again
GROUP = 4 << 20  # bytes that one sync carries at most
FOLD_AT = 4 << 20  # bytes of journal
FOLD_SHARE = 4  # a journal may grow to this part of the folded file: folding costs a write the same at any size
SLICE = 200  # documents taken over before others get their turn


class Queued(msgspec.Struct):
    """A unit on its way to the disk."""

    change: Change
    line: bytes
    notices: tuple[Notice, ...]
    answer: asyncio.Future[Committed]
    committed: Committed


def refusal(error: OSError) -> StorageFull | StorageUnavailable:
    """What the caller is told about a failed write."""
    if error.errno in NO_SPACE:
        return StorageFull("The disk has no space for the write; free some, then repeat.", retry_after=5)
    return StorageUnavailable("The tenant's files cannot be written at present; repeat later.", retry_after=5)


def fold_at(folded: int) -> int:
    """How long the journal may grow beside a folded file of so many bytes."""
    return max(FOLD_AT, folded // FOLD_SHARE)


class Tenant:
    """State, queue and writer of one tenant. All methods run on the loop; only ``run`` leaves it.

    Units fly to the disk in batches, one batch at a time: whoever was queued while one was in the air shares the next.
    """

    def __init__(self, opened: Opened, workers: Workers, appenders: Workers) -> None:
        self.folder, self.disk = opened.folder, opened.disk
        self.state, self.log, self.torn = opened.state, opened.log, opened.torn
        self.generation = opened.generation
        self.reasons = opened.reasons
        self.marked = opened.marked  # the marker of quarantine is there, until an admin removes it
        self.readable = opened.journal is not None
        self.journal: Journal | None = opened.journal
        self.told = Notices(self.state.seq)
        self.keeping = asyncio.Lock()  # one fold, backup or rename
        self.tasks: set[asyncio.Task[None]] = set()
        self.run = workers.run
        self.fold_at = fold_at(opened.folded)  # length of the journal at which the next fold is due
        self.folding = False
        self._appenders = appenders
        self._loop = asyncio.get_running_loop()
        self._ahead = Ahead(self.state)
        self._queue: deque[Queued] = deque()  # the batch in the air, and what came after it
        self._in_air: list[Queued] = []
        self.users = 0
        self.gone = False  # closed: another object may hold the folder now
        self._due = False  # whether a launch has been asked for
        self._landing: list[asyncio.Future[None]] = []
        self._grounded = asyncio.Lock()  # held by whoever changes the journal's file itself
        self._failure: OSError | None = None
        self._probe: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing would be missed if the tenant were closed."""
        waiting = self._queue or self._in_air or self._probe or self.tasks or self.told.awaited or self.log.ring.dirty
        return not self.users and not waiting and not self.keeping.locked() and not self._grounded.locked()

    @contextmanager
    def used(self) -> Iterator[None]:
        """It is not idle meanwhile: for whatever waits between two looks at it."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

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
            await self._landed()
            if self._failure is not None:
                raise refusal(self._failure)
        if self.gone:
            raise StorageUnavailable("The tenant has just been closed; repeat in a moment.", retry_after=1)
        return await self._enqueue(unit)

    def _enqueue(self, unit: Unit) -> asyncio.Future[Committed]:
        ahead = self._ahead
        change = ahead.take(unit)
        answer: asyncio.Future[Committed] = self._loop.create_future()
        committed = Committed(change.seq, change.revision, ahead.head, tuple([put.revision for put in change.puts]))
        self._queue.append(Queued(change, sealed(encode(change)), unit.notices, answer, committed))
        self._soon()
        return answer

    def _soon(self) -> None:
        """Launch after everybody who is about to write has queued."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._launch)

    def _launch(self) -> None:
        """Hand everything that is queued to the disk: one append, one sync."""
        self._due = False
        if self._queue and not self._in_air and not self._grounded.locked() and self.journal is not None:
            self._in_air = self._batch()
            data = b"".join([queued.line for queued in self._in_air])
            self._appenders.call(partial(self.journal.append, data), self._land)
        self.state.catch_up()  # while the disk is at work

    def _land(self, _: None, failure: Exception | None) -> None:
        if failure is None:
            self._show()
        else:
            self._in_air = []
            self.failed(failure if isinstance(failure, OSError) else OSError(errno.EIO, repr(failure)))

    def _show(self) -> None:
        """Show what has landed to readers, unit by unit, and answer; others get their turn after each slice."""
        shown, writes = 0, 0
        for queued in self._in_air:
            change = queued.change
            self._queue.popleft()
            self.state.apply(change)
            self.log.tail += change.entries
            self.told.add(change.seq, queued.notices)
            if not queued.answer.done():
                queued.answer.set_result(queued.committed)
            shown += 1
            writes += len(change.puts) + len(change.deletes)
            if writes >= SLICE:
                break
        self._ahead.settled([queued.change for queued in self._in_air[:shown]])
        self._in_air = self._in_air[shown:]
        if self._in_air:
            self.state.catch_up()
            self._loop.call_soon(self._show)
        else:
            self._tell_landed()

    def _tell_landed(self) -> None:
        for waiter in self._landing:
            if not waiter.done():
                waiter.set_result(None)
        self._landing.clear()
        if self._queue:
            self._soon()

    def _landed(self) -> asyncio.Future[None]:
        """The end, good or bad, of the flight that is under way or due."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._landing.append(waiter)
        return waiter

    @asynccontextmanager
    async def grounded(self) -> AsyncIterator[None]:
        """Nothing is in the air and nothing starts: the journal's file may be changed."""
        async with self._grounded:
            if self._in_air:
                await self._landed()
            yield
        self._soon()

    def _batch(self) -> list[Queued]:
        batch: list[Queued] = []
        size = 0
        for queued in self._queue:
            size += len(queued.line)
            if batch and size > GROUP:
                break
            batch.append(queued)
        return batch

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
        self._tell_landed()

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
        async with self.grounded():
            if self._failure is not None and self.journal is not None:
                try:
                    await self.run(self.journal.mend)
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
                self.marked = True

            self.spawn_run(mark)

    def spawn_run(self, work: Callable[[], None]) -> None:
        """Work on the disk that nobody waits for."""

        async def running() -> None:
            await self.run(work)

        task = asyncio.create_task(running())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def flush_ring(self) -> None:
        """Bring unverified attempts to the disk; what the disk refuses waits for the next time."""
        ring = self.log.ring
        if not ring.dirty or self.reasons:
            return
        pending, whole = ring.pending(), tuple(ring.entries.values())
        with self.used():
            try:
                await self.run(lambda: ring.write(self.disk, pending, whole))
            except OSError:
                ring.again(pending)

    async def close(self) -> None:
        """Wait for the queue, flush the ring, let go of the files."""
        if self._probe is not None:
            self._probe.cancel()
        while not self.gone:
            while self._queue:
                await self._landed()
            if self.tasks:
                await asyncio.wait(set(self.tasks))
            await self.flush_ring()
            self.told.wake()
            async with self.keeping, self.grounded():
                if not self._queue:  # else somebody got in while it waited
                    self.gone = True
                    if self.journal is not None:
                        await self.run(self.journal.close)

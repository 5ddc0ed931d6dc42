"""One open tenant: units are tested and queued here, and shown once they are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crm_core.errors import StorageUnavailable
from crm_core.plugin.query import StoreState
from crm_core.plugin.unit import Committed, Conflict, Unit
from crm_tinydb.change import encode
from crm_tinydb.framing import sealed
from crm_tinydb.group_commit import GroupCommit, Queued, refusal
from crm_tinydb.journal import NO_SPACE
from crm_tinydb.notices import Notices
from crm_tinydb.opening import Opened, quarantine
from crm_tinydb.pending_state import PendingState
from crm_tinydb.workers import Workers

FOLD_AT = 4 << 20  # bytes of journal
FOLD_SHARE = 4  # a journal may grow to this part of the folded file: folding costs a write the same at any size


def fold_at(folded: int) -> int:
    """How long the journal may grow beside a folded file of so many bytes."""
    return max(FOLD_AT, folded // FOLD_SHARE)


class Tenant:
    """State, log and queue of one tenant. All methods run on the loop; only ``run`` leaves it."""

    def __init__(self, opened: Opened, workers: Workers, appenders: Workers) -> None:
        self.folder, self.disk = opened.folder, opened.disk
        self.state, self.log, self.torn = opened.state, opened.log, opened.torn
        self.generation = opened.generation
        self.reasons = opened.reasons
        self.marked = opened.marked  # the marker of quarantine is there, until an admin removes it
        self.readable = opened.journal is not None
        self.told = Notices(self.state.seq)
        self.keeping = asyncio.Lock()  # one fold, backup or rename
        self.tasks: set[asyncio.Task[None]] = set()
        self.run = workers.run
        self.fold_at = fold_at(opened.folded)  # length of the journal at which the next fold is due
        self.folding = False
        self.users = 0
        self.gone = False  # closed: another object may hold the folder now
        self._ahead = PendingState(self.state)
        self.flights = GroupCommit(
            opened.journal,
            workers=workers,
            appenders=appenders,
            show=self._show,
            drop=self._ahead.clear,
            meanwhile=self.state.catch_up,
        )

    @property
    def idle(self) -> bool:
        """Whether nothing would be missed if the tenant were closed."""
        waiting = self.users or self.tasks or self.told.awaited or self.log.ring.dirty
        return not waiting and not self.flights.busy and not self.keeping.locked()

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
        if (failure := self.flights.failure) is not None:
            mend = ": free some space; writes come back by themselves" if failure.errno in NO_SPACE else ""
            return StoreState("read_only", f"Writing failed ({failure.strerror or failure}){mend}.")
        return StoreState()

    def check_readable(self) -> None:
        """Raise StorageUnavailable where no generation could be read."""
        if not self.readable:
            raise StorageUnavailable(f"The tenant's files cannot be used: {'; '.join(self.reasons)}.")

    async def commit(self, unit: Unit) -> Committed | Conflict:
        """Test, queue and wait until durable. A caller that is cancelled leaves its unit in the queue."""
        if self.reasons:
            raise StorageUnavailable("The tenant is in quarantine and takes no writes.", retry_after=60)
        flights = self.flights
        if flights.failure is not None:
            await asyncio.shield(asyncio.create_task(flights.recover()))
            self._check_writable()
        while (conflict := self._ahead.conflict(unit)) is not None:
            if flights.queued:
                conflict = PendingState(self.state).conflict(unit)
            if conflict is not None:
                return conflict
            # It conflicts with what is still on its way to the disk, which may refuse it: to answer now could name a
            # winner that never was.
            await flights.landed()
            self._check_writable()
        return await self._enqueue(unit)

    def _check_writable(self) -> None:
        if self.flights.failure is not None:
            raise refusal(self.flights.failure)
        if self.gone:
            raise StorageUnavailable("The tenant has just been closed; repeat in a moment.", retry_after=1)

    def _enqueue(self, unit: Unit) -> asyncio.Future[Committed]:
        ahead = self._ahead
        change = ahead.next(unit)
        line = sealed(encode(change))  # what cannot be written must fail here, before it counts
        ahead.take(change)
        answer: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        committed = Committed(change.seq, change.revision, ahead.head, tuple([put.revision for put in change.puts]))
        self.flights.add(Queued(change, line, unit.notices, answer, committed))
        return answer

    def _show(self, units: list[Queued]) -> None:
        """Take over what is durable, and answer."""
        for queued in units:
            change = queued.change
            self.state.apply(change)
            self.log.tail += change.entries
            self.told.add(change.seq, queued.notices)
            if not queued.answer.done():
                queued.answer.set_result(queued.committed)
        self._ahead.settled([queued.change for queued in units])

    def distrust(self, reason: str) -> None:
        """Damage was met while reading: no writes until an admin has looked."""
        if reason not in self.reasons and not self.gone:  # else another tenant's files may lie in the folder
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
        self.flights.stop()
        while not self.gone:
            while self.flights.queued:
                await self.flights.landed()
            if self.tasks:
                await asyncio.wait(set(self.tasks))
            await self.flush_ring()
            self.told.wake()
            async with self.keeping, self.flights.grounded():
                if not self.flights.queued:  # else somebody got in while it waited
                    self.gone = True
                    if self.flights.journal is not None:
                        await self.run(self.flights.journal.close)
        self.flights.end()

"""One open tenant: units are tested and queued here, and become visible when they are durable."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from crm_core.errors import StorageUnavailable
from crm_core.model.turns import Turn
from crm_core.plugin.query import StoreState
from crm_core.plugin.unit import Committed, Conflict, IndexFree, Put, Unit
from crm_tinydb.change import encode
from crm_tinydb.change_log import ChangeLogView
from crm_tinydb.disk import NO_SPACE
from crm_tinydb.framing import LINE
from crm_tinydb.group_commit import GroupCommit, Queued, refusal
from crm_tinydb.log import LogView
from crm_tinydb.opening import Opened, set_aside
from crm_tinydb.pending_state import Content, PendingState, content_of
from crm_tinydb.refusals import files_unreadable, just_closed
from crm_tinydb.segments import SegmentDamaged, segment_path
from crm_tinydb.waiters import Waiters
from crm_tinydb.workers import Workers

FOLD_AT = 4 << 20  # bytes of journal
# A journal may grow to this part of the folded file: the cost of folds per write is the same at any size.
FOLD_SHARE = 4


def fold_at(folded: int) -> int:
    """The length of the journal at which a fold is due, for the length of the folded file."""
    return max(FOLD_AT, folded // FOLD_SHARE)


STEP = 64  # puts or expectations of a unit between two looks at the clock
LONG = 1 << 20  # bytes of documents in a unit that is encoded in a thread
_NONE = Raw(b"null")
ROUNDS = 3  # in which a large unit is tested in turns; then at one go, or it might wait for ever
_LARGE = 5_000  # documents of a tenant that the garbage collector must not scan


class Tenant:
    """State, log and queue of one tenant. All methods run on the loop; ``run`` is for work in a thread."""

    def __init__(self, opened: Opened, workers: Workers, appenders: Workers) -> None:
        self.folder, self.disk = opened.folder, opened.disk
        self.state, self.log, self.changes, self.torn = opened.state, opened.log, opened.changes, opened.torn
        self.generation = opened.generation
        self.unclean = opened.unclean  # a sole generation, until all files before it are removed
        self.reasons = opened.reasons
        self.has_marker = opened.has_marker  # of a quarantine, until an admin removes it
        self.readable = opened.journal is not None
        self.waiters = Waiters(self.state.seq)
        self.maintenance = asyncio.Lock()  # one fold, erase, backup, copy, check or closing
        self._flushing = asyncio.Lock()  # one write of the ring
        self._marking = asyncio.Lock()  # one write of the marker
        self.tasks: set[asyncio.Task[None]] = set()
        self.run = workers.run
        self.fold_at = fold_at(opened.folded)  # journal length at which a fold is due
        self.folding = False
        self.users = 0
        self.closed = False  # another object may use the folder now
        self._pending = PendingState(self.state)
        self.group_commit = GroupCommit(
            opened.journal,
            workers=workers,
            appenders=appenders,
            publish=self._publish,
            discard=self._pending.clear,
            meanwhile=self.state.catch_up,
        )
        if opened.failure is not None:
            self.group_commit.fail(opened.failure)

    def freeze_if_large(self) -> None:
        """Keep the garbage collector from scanning the documents of a large tenant."""
        if sum(len(collection) for collection in self.state.collections.values()) >= _LARGE:
            # A full collection would scan all records: with 50,000 that blocks the loop for some 10 ms, and even a
            # partial one now, since they are new. Frozen objects are still freed by reference counting.
            gc.freeze()

    @property
    def idle(self) -> bool:
        """Whether the tenant can be closed without loss or delay."""
        waiting = self.users or self.tasks or self.waiters or self.log.ring.dirty
        return not waiting and not self.group_commit.busy and not self.maintenance.locked()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the tenant open in the meantime: for callers that wait between two uses."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1

    def log_view(self) -> LogView:
        """The log at this moment, to be read in a thread."""
        return self.log.view(self.disk, self.folder)

    def change_view(self) -> ChangeLogView:
        """The change log at this moment, to be read in a thread."""
        return self.changes.view(self.disk, self.folder, self.state.erased)

    def store_state(self) -> StoreState:
        """The state for health reports."""
        if self.reasons:
            return StoreState("quarantined", f"The tenant is read-only: {'; '.join(self.reasons)}.")
        if (failure := self.group_commit.failure) is not None:
            fix = ": free some space; writes then resume automatically" if failure.errno in NO_SPACE else ""
            return StoreState("read_only", f"Writing failed ({failure.strerror or failure}){fix}.")
        return StoreState()

    def check_readable(self) -> None:
        """Raise StorageUnavailable if no generation could be read."""
        if not self.readable:
            raise files_unreadable(f"The tenant's files cannot be used: {'; '.join(self.reasons)}.")

    async def commit(self, unit: Unit) -> Committed | Conflict:
        """Test and queue a unit, and wait until it is durable. If the caller is cancelled, the unit stays queued."""
        if self.reasons:
            detail = "The tenant is in quarantine and accepts no writes. Its operator runs crm doctor."
            raise StorageUnavailable(detail, retry_after=60)
        contents = [content_of(put) for put in unit.puts[:STEP]]
        if len(unit.puts) > STEP:
            contents += await _contents_of(unit.puts[STEP:])
        await self.prepare((each.collection, each.index) for each in unit.expect if isinstance(each, IndexFree))
        group = self.group_commit
        if group.failure is not None:
            await asyncio.shield(asyncio.create_task(group.recover()))
        self._check_writable()
        while (conflict := await self._conflict(unit)) is not None:
            if group.queued:
                conflict = PendingState(self.state).conflict(unit)
            if conflict is not None:
                return conflict
            # It conflicts with a unit in the queue, which may still fail: an answer now could name a winner that never
            # was.
            await group.batch_done()
            self._check_writable()
        return await self._enqueue(unit, contents)

    async def prepare(self, indexes: Iterable[tuple[str, str]]) -> None:
        """Before indexes, each given by collection and name, are read: to build one later would occupy the loop."""
        for collection, name in indexes:
            if (table := self.state.collection(collection)).lacks(name):
                with self.in_use():  # or the memory could be freed meanwhile
                    await table.prepare(name, self.run, self.group_commit.paused)

    async def _conflict(self, unit: Unit) -> Conflict | None:
        """The first conflict of a unit. A large one is tested in turns, again if the queue has changed meanwhile."""
        pending, count = self._pending, len(unit.expect)
        if count <= STEP:
            return pending.conflict(unit)
        turn = Turn()
        for _ in range(ROUNDS):
            version = pending.version
            for start in range(0, count, STEP):
                if start:
                    await turn.pause()
                    self._check_writable()
                conflict = pending.conflict(replace(unit, expect=unit.expect[start : start + STEP]))
                if conflict is not None:
                    return conflict
            if pending.version == version:
                return None
        return pending.conflict(unit)

    def _check_writable(self) -> None:
        if self.group_commit.failure is not None:
            raise refusal(self.group_commit.failure)
        if self.closed:
            raise just_closed()

    def _enqueue(self, unit: Unit, contents: list[Content]) -> asyncio.Future[Committed]:
        pending = self._pending
        change, bodies = pending.next(unit, contents), [body for _, body in contents]
        size = sum(map(len, bodies))
        # It must fail here if it cannot be written, before it counts; bodies are encoded already.
        short = change if size < LONG else replace(change, puts=tuple([replace(p, body=_NONE) for p in change.puts]))
        text = encode(short)
        pending.add(change)
        answer: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        committed = Committed(change.seq, change.revision, pending.head, tuple([put.revision for put in change.puts]))
        sent, length = (text, len(text)) if short is change else (None, len(text) + size)
        self.group_commit.add(Queued(change, bodies, sent, length + LINE, answer, committed))
        return answer

    def _publish(self, units: list[Queued]) -> None:
        """Apply durable units, and answer."""
        for queued in units:
            change = queued.change
            self.state.apply(change, queued.bodies)
            self.log.tail += change.entries
            self.changes.tail += map(bytes, change.changes)
            self.waiters.reached(change.seq)
            if not queued.answer.done():
                queued.answer.set_result(queued.committed)
        self._pending.remove_durable([queued.change for queued in units])

    def report_damage(self, error: SegmentDamaged) -> None:
        """Quarantine the tenant after damage was found while reading, as an opening that finds it does."""
        name = error.segment.name
        if self.closed or any(name in reason for reason in self.reasons):  # closed: the folder may be another tenant's
            return
        self.reasons.append(f"{name} {error.reason}")
        reasons = list(self.reasons)

        def move() -> None:
            set_aside(self.disk, self.folder, reasons, segment_path(self.disk, self.folder, name))

        async def mark() -> None:
            async with self._marking:
                with suppress(OSError):  # after a failure the damage is found again when the file is next read
                    await self.run(move)
                    self.has_marker = True

        self.spawn(mark())

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work that ``close`` waits for."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def flush_ring(self) -> None:
        """Write unverified attempts to disk; after a failure they wait for the next flush.

        If the caller is cancelled the write continues: its thread must be done before another one writes the file.
        """
        await asyncio.shield(asyncio.create_task(self._flush_ring()))

    async def _flush_ring(self) -> None:
        ring = self.log.ring
        async with self._flushing:
            if not ring.dirty or self.reasons or self.closed:
                return
            pending, whole = ring.pending(), tuple(ring.entries.values())
            with self.in_use():
                try:
                    await self.run(lambda: ring.write(self.disk, pending, whole))
                except OSError:
                    ring.requeue(pending)

    async def close(self) -> None:
        """Wait for the queue, flush the ring, close the files."""
        if self.tasks:
            await asyncio.wait(set(self.tasks))  # before stop: a fold that fails starts a probe
        self.group_commit.stop()
        while not self.closed:
            while self.group_commit.queued:
                await self.group_commit.batch_done()
            if self.tasks:
                await asyncio.wait(set(self.tasks))
            await self.flush_ring()
            self.waiters.wake()
            async with self.maintenance, self.group_commit.paused():
                if not self.group_commit.queued and not self.tasks:  # otherwise one came during the wait
                    self.closed = True
                    if self.group_commit.journal is not None:
                        await self.run(self.group_commit.journal.close)
        self.group_commit.release()

    async def free(self) -> None:
        """Free the memory of a closed tenant in turns, unless a reader is left, which then does it at its end."""
        turn = Turn()
        for collection in self.state.collections.values():
            if self.users:
                return
            for _ in collection.free():
                await turn.pause()


async def _contents_of(puts: Sequence[Put]) -> list[Content]:
    """The contents of many puts, in turns. Raises ValueError."""
    contents, turn = [], Turn()
    for put in puts:
        contents.append(content_of(put))
        if len(contents) % STEP == 0:
            await turn.pause()
    return contents

"""How units get to the disk: in batches, one in the air at a time; whoever queues meanwhile shares the next.

A batch is one append and one sync. When it fails everything queued fails with it, and nothing flies until the journal
has been mended.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.plugin.unit import Committed, Notice
from crm_tinydb.change import JournalEntry
from crm_tinydb.journal import NO_SPACE, Journal
from crm_tinydb.workers import Workers

PROBE_EVERY = 1.0  # seconds between attempts to write again
BATCH = 4 << 20  # bytes that one sync carries at most
SLICE = 200  # documents taken over before others get their turn


class Queued(msgspec.Struct):
    """A unit on its way to the disk."""

    change: JournalEntry
    line: bytes
    notices: tuple[Notice, ...]
    answer: asyncio.Future[Committed]
    committed: Committed

    @property
    def writes(self) -> int:
        """How many documents it changes."""
        return len(self.change.puts) + len(self.change.deletes)


def refusal(error: OSError) -> StorageFull | StorageUnavailable:
    """What the caller is told about a failed write."""
    if error.errno in NO_SPACE:
        return StorageFull("The disk has no space for the write; free some, then repeat.", retry_after=5)
    return StorageUnavailable("The tenant's files cannot be written at present; repeat later.", retry_after=5)


class GroupCommit:
    """The queue of one tenant.

    ``show`` makes units that have landed visible and answers; ``drop`` forgets what is queued; ``meanwhile`` is what
    there is to do while the disk is at work.
    """

    def __init__(
        self,
        journal: Journal | None,
        *,
        workers: Workers,
        appenders: Workers,
        show: Callable[[list[Queued]], None],
        drop: Callable[[], None],
        meanwhile: Callable[[], None],
    ) -> None:
        self.journal = journal  # None: there is none that can be trusted
        self.failure: OSError | None = None
        self._workers, self._appenders = workers, appenders
        self._show, self._drop, self._meanwhile = show, drop, meanwhile
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Queued] = deque()  # the batch in the air, and what came after it
        self._in_air: list[Queued] = []
        self._due = False  # whether a launch has been asked for
        self._landing: list[asyncio.Future[None]] = []
        self._grounded = asyncio.Lock()
        self._probe: asyncio.Task[None] | None = None

    @property
    def queued(self) -> bool:
        """Whether units are in the air or wait for it."""
        return bool(self._queue)

    @property
    def busy(self) -> bool:
        """Whether anything is under way, a probe included."""
        return bool(self._queue or self._probe) or self._grounded.locked()

    def add(self, unit: Queued) -> None:
        """Queue a unit; its answer comes once it is durable, and shown."""
        self._queue.append(unit)
        self._soon()

    def _soon(self) -> None:
        """Launch after everybody who is about to write has queued."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._launch)

    def _launch(self) -> None:
        self._due = False
        if self._queue and not self._in_air and not self._grounded.locked() and self.journal is not None:
            self._in_air = self._batch()
            data = b"".join([queued.line for queued in self._in_air])
            self._appenders.call(partial(self.journal.append, data), self._land)
        self._meanwhile()

    def _batch(self) -> list[Queued]:
        batch: list[Queued] = []
        size = 0
        for queued in self._queue:
            size += len(queued.line)
            if batch and size > BATCH:
                break
            batch.append(queued)
        return batch

    def _land(self, _: None, failure: Exception | None) -> None:
        if failure is None:
            self._arrive()
        else:
            self._in_air = []
            self.failed(failure if isinstance(failure, OSError) else OSError(errno.EIO, repr(failure)))

    def _arrive(self) -> None:
        """Show a slice of what has landed, and the rest after others have had their turn."""
        landed, self._in_air = self._in_air, []
        writes = 0
        for number, queued in enumerate(landed, 1):
            self._queue.popleft()
            writes += queued.writes
            if writes >= SLICE:
                landed, self._in_air = landed[:number], landed[number:]
                break
        self._show(landed)
        if self._in_air:
            self._meanwhile()
            self._loop.call_soon(self._arrive)
        else:
            self._tell_landed()

    def _tell_landed(self) -> None:
        waiting, self._landing = self._landing, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        if self._queue:
            self._soon()

    def landed(self) -> asyncio.Future[None]:
        """The end, good or bad, of the flight that is under way or due."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._landing.append(waiter)
        return waiter

    @asynccontextmanager
    async def grounded(self) -> AsyncIterator[None]:
        """Nothing is in the air and nothing starts: the journal itself may be changed."""
        async with self._grounded:
            if self._in_air:
                await self.landed()
            yield
        self._soon()

    def failed(self, error: OSError) -> None:
        """A write failed: everything queued fails with it, and nothing is written until a probe succeeds."""
        self.failure = error
        queued, self._queue = self._queue, deque()
        self._drop()
        for each in queued:
            if not each.answer.done():
                each.answer.set_exception(refusal(error))
                each.answer.exception()  # a caller that went away must not make the loop complain
        if self._probe is None:
            self._probe = asyncio.create_task(self._recover_in_time())
        self._tell_landed()

    async def _recover_in_time(self) -> None:
        try:
            while self.failure is not None:
                await asyncio.sleep(PROBE_EVERY)
                await self.recover()
        finally:
            self._probe = None

    async def recover(self) -> None:
        """Try whether writes go through again; ``failure`` tells."""
        async with self.grounded():
            if self.failure is not None and self.journal is not None:
                try:
                    await self._workers.run(self.journal.mend)
                except OSError as error:
                    self.failure = error
                else:
                    self.failure = None

    def stop(self) -> None:
        """Probe no more."""
        if self._probe is not None:
            self._probe.cancel()

    def end(self) -> None:
        """Nothing flies any more: forget the tenant, whose memory must not wait for the garbage collector."""
        self._show = self._drop = self._meanwhile = _nothing


def _nothing(*_: object) -> None:
    """What an ended queue calls."""

"""Group commit: units are written in batches, one at a time; units queued in the meantime share the next batch.

A batch is one append and one sync. If it fails, everything queued fails with it, and nothing is written until the
journal is repaired.
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
from crm_core.plugin.unit import Committed
from crm_tinydb.change import JournalEntry, encode
from crm_tinydb.disk import NO_SPACE
from crm_tinydb.framing import BATCH
from crm_tinydb.journal import Journal
from crm_tinydb.workers import Workers

PROBE_EVERY = 1.0  # seconds between attempts to write again
SLICE = 200  # documents published before the loop runs other tasks


class Queued(msgspec.Struct):
    """A unit on its way to the disk.

    ``bodies``: of its puts: to copy megabytes out of the change would occupy the loop; ``text``: the change, encoded;
    None: a long one, for a thread to encode; ``size``: of its line, or a little more.
    """

    change: JournalEntry
    bodies: list[bytes]
    text: bytes | None
    size: int
    answer: asyncio.Future[Committed]
    committed: Committed

    @property
    def writes(self) -> int:
        """How many documents it changes."""
        return len(self.change.puts) + len(self.change.deletes)


def refusal(error: OSError) -> StorageFull | StorageUnavailable:
    """The error for the caller of a failed write."""
    if error.errno in NO_SPACE:
        return StorageFull("The disk has no space for this write. Free some space, then try again.", retry_after=5)
    return StorageUnavailable("The tenant's files cannot be written now. Try again later.", retry_after=5)


class GroupCommit:
    """The queue of one tenant.

    ``publish`` makes durable units visible and answers; ``discard`` forgets what is queued; ``meanwhile`` is work to do
    while the disk is busy, a turn of it at each call, and returns whether that was all.
    """

    def __init__(
        self,
        journal: Journal | None,
        *,
        workers: Workers,
        appenders: Workers,
        publish: Callable[[list[Queued]], None],
        discard: Callable[[], None],
        meanwhile: Callable[[], bool],
    ) -> None:
        self.journal = journal  # None: no journal can be trusted
        self.failure: OSError | None = None
        self._workers, self._appenders = workers, appenders
        self._publish, self._discard, self._meanwhile = publish, discard, meanwhile
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Queued] = deque()  # the batch in flight, then later units
        self._in_flight: list[Queued] = []
        self._catching_up = False  # whether the loop will call _go_on
        self._scheduled = False  # whether the loop will call _start_batch
        self._waiters: list[asyncio.Future[None]] = []
        self._paused = asyncio.Lock()
        self._probe: asyncio.Task[None] | None = None
        self._stopped = False
        self._attempts = 0  # to write again that have begun

    @property
    def queued(self) -> bool:
        """Whether units are in flight or waiting."""
        return bool(self._queue)

    @property
    def busy(self) -> bool:
        """Whether anything is in progress, including a probe."""
        return bool(self._queue or self._probe) or self._paused.locked()

    def add(self, unit: Queued) -> None:
        """Queue a unit; it is answered when it is durable and visible."""
        self._queue.append(unit)
        self._schedule()

    def _schedule(self) -> None:
        """Start a batch after all callers that are about to write have queued."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._start_batch)

    def _start_batch(self) -> None:
        self._scheduled = False
        if self._queue and not self._in_flight and not self._paused.locked() and self.journal is not None:
            self._in_flight = self._batch()
            self._appenders.call(partial(_append, self.journal, tuple(self._in_flight)), self._written)
        self._catch_up()

    def _catch_up(self) -> None:
        """Do what there is to do meanwhile, turn by turn."""
        if not self._meanwhile() and not self._catching_up:
            self._catching_up = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._catching_up = False
        self._catch_up()

    def _batch(self) -> list[Queued]:
        batch: list[Queued] = []
        size = 0
        for queued in self._queue:
            size += queued.size
            if batch and size > BATCH:
                break
            batch.append(queued)
        return batch

    def _written(self, _: None, failure: Exception | None) -> None:
        if failure is None:
            self._publish_slice()
        else:
            self._in_flight = []
            self.fail(failure if isinstance(failure, OSError) else OSError(errno.EIO, repr(failure)))

    def _publish_slice(self) -> None:
        """Publish some of a durable batch, and the rest after other tasks have run."""
        durable, self._in_flight = self._in_flight, []
        writes = 0
        for number, queued in enumerate(durable, 1):
            self._queue.popleft()
            writes += queued.writes
            if writes >= SLICE:
                durable, self._in_flight = durable[:number], durable[number:]
                break
        self._publish(durable)
        if self._in_flight:
            self._catch_up()
            self._loop.call_soon(self._publish_slice)
        else:
            self._batch_ended()
            self._catch_up()

    def _batch_ended(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self._queue:
            self._schedule()

    def batch_done(self) -> asyncio.Future[None]:
        """A future for the end, good or bad, of the batch that is in flight or next."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Wait for the batch in flight and start no other: the journal itself may be changed."""
        try:
            async with self._paused:
                if self._in_flight:
                    await self.batch_done()
                yield
        finally:  # also after a failure: units may have been queued meanwhile
            self._schedule()

    def fail(self, error: OSError) -> None:
        """Fail everything queued after a failed write, and write nothing until a probe succeeds."""
        self.failure = error
        queued, self._queue = self._queue, deque()
        self._discard()
        for each in queued:
            if not each.answer.done():
                each.answer.set_exception(refusal(error))
                each.answer.exception()  # retrieved, or asyncio logs it if the caller was cancelled
        if self._probe is None and not self._stopped:
            self._probe = asyncio.create_task(self._keep_probing())
        self._batch_ended()

    async def _keep_probing(self) -> None:
        try:
            while self.failure is not None:
                await asyncio.sleep(PROBE_EVERY)
                await asyncio.shield(asyncio.create_task(self.recover()))  # a cancelled one would leave its thread
        finally:
            self._probe = None

    async def recover(self) -> None:
        """Try to write again; ``failure`` has the result. Callers that wait share the next attempt."""
        known = self._attempts
        async with self.paused():
            if self.failure is None or self.journal is None or self._stopped or self._attempts != known:
                return
            self._attempts += 1
            try:
                await self._workers.run(self.journal.repair)
            except OSError as error:
                self.failure = error
            else:
                self.failure = None

    def stop(self) -> None:
        """Stop probing for good: a repair after the tenant is closed would change files that another object uses.

        One that has begun is over when ``paused`` begins.
        """
        self._stopped = True
        if self._probe is not None:
            self._probe.cancel()

    def release(self) -> None:
        """Drop the references to the tenant, whose memory must not wait for the garbage collector."""
        self._publish = self._discard = _nothing
        self._meanwhile = _caught_up


def _append(journal: Journal, batch: tuple[Queued, ...]) -> None:
    """Write a batch, in a thread. Raises OSError."""
    journal.append([encode(queued.change) if queued.text is None else queued.text for queued in batch])


def _nothing(*_: object) -> None:
    """Do nothing: the callbacks of a released queue."""


def _caught_up() -> bool:
    """There is nothing to do: the work of a released queue."""
    return True

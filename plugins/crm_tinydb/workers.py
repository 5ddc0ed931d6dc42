"""Threads for the disk with the least overhead that Python allows.

``ThreadPoolExecutor`` needs a second future and several locks per call; on a fast disk that costs a commit as much as
its sync.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
Callback = Callable[[Any, Exception | None], None]  # the result of the work, or its exception
ThreadFactory = Callable[..., Thread]


class Workers:
    """``limit`` threads, started immediately: later the system may have none left. All methods run on the loop.

    A thread that cannot start is tried again with later work. Without any thread, work fails with OSError (EAGAIN).
    """

    def __init__(self, limit: int, name: str, thread: ThreadFactory = Thread) -> None:
        self._limit, self._name, self._thread = limit, name, thread
        self._loop = asyncio.get_running_loop()
        self._threads: list[Thread] = []
        self._pending = 0
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Callback] | None] = SimpleQueue()
        self._done: deque[tuple[Callback, Any, Exception | None]] = deque()
        self._notified = False  # whether the loop will call _settle
        while len(self._threads) < limit and self._start_thread():
            pass

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do work in a thread; the future has its result or exception."""
        future: asyncio.Future[T] = self._loop.create_future()
        self.call(work, partial(_resolve, future))
        return future

    def call(self, work: Callable[[], Any], then: Callback) -> None:
        """Do work in a thread, then call ``then`` on the loop."""
        self._pending += 1
        if self._pending > len(self._threads) < self._limit:
            self._start_thread()
        if self._threads:
            self._jobs.put((work, then))
        else:
            self._done.append((then, None, OSError(errno.EAGAIN, "the system has no thread left")))
            self._loop.call_soon(self._settle)

    def _start_thread(self) -> bool:
        thread = self._thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # clone failed with EAGAIN
            return False
        self._threads.append(thread)
        return True

    def _serve(self) -> None:
        _run_behind_the_loop()
        while (job := self._jobs.get()) is not None:
            work, then = job
            result, failure = None, None
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 -- passed to the caller on the loop
                failure = error
            self._done.append((then, result, failure))
            if not self._notified:
                self._notified = True
                self._loop.call_soon_threadsafe(self._settle)
            del job, work, then, result, failure  # an idle thread must not keep a tenant alive

    def _settle(self) -> None:
        self._notified = False  # before the loop: later results schedule another call
        while self._done:
            then, result, failure = self._done.popleft()
            self._pending -= 1
            try:
                then(result, failure)
            except Exception as error:  # noqa: BLE001 -- the other callbacks must still run
                self._loop.call_exception_handler({"message": "a callback after disk work failed", "exception": error})

    def close(self) -> None:
        """End the threads after the pending work; later work fails as without a thread."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._limit, self._threads = 0, []


def _run_behind_the_loop() -> None:
    """Have the system not interrupt the loop for this thread, which could do nothing without its interpreter lock.

    So the loop takes several results in a turn. It is Linux's SCHED_BATCH (sched(7)), which a sandbox may forbid.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _resolve(future: asyncio.Future[Any], result: object, failure: Exception | None) -> None:
    if future.done():  # the caller was cancelled
        return
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)

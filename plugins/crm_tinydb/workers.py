"""Threads for the disk: a call goes out and its outcome comes back with as little in between as Python allows.

``ThreadPoolExecutor`` keeps a second future and several locks for each call; on a fast disk that costs a commit as
much as its sync.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
Then = Callable[[Any, Exception | None], None]  # what the work returned, or raised


class Workers:
    """Up to ``limit`` threads, started as they are needed. All methods run on the loop."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit, self._name = limit, name
        self._loop = asyncio.get_running_loop()
        self._threads: list[Thread] = []
        self._under_way = 0
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Then] | None] = SimpleQueue()
        self._done: deque[tuple[Then, Any, Exception | None]] = deque()
        self._told = False  # whether the loop is on its way to what is done

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have work done in a thread; the future brings what it returns or raises."""
        outcome: asyncio.Future[T] = self._loop.create_future()
        self.call(work, partial(_resolve, outcome))
        return outcome

    def call(self, work: Callable[[], Any], then: Then) -> None:
        """Have work done in a thread, and ``then`` on the loop."""
        self._under_way += 1
        if self._under_way > len(self._threads) < self._limit:
            thread = Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put((work, then))

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, then = job
            told, failure = None, None
            try:
                told = work()
            except Exception as error:  # noqa: BLE001 -- whoever waits on the loop gets it
                failure = error
            self._done.append((then, told, failure))
            if not self._told:
                self._told = True
                self._loop.call_soon_threadsafe(self._settle)
            del job, work, then, told, failure  # a thread at rest must not keep a tenant alive

    def _settle(self) -> None:
        self._told = False  # before looking: what is added from here on tells anew
        while self._done:
            then, told, failure = self._done.popleft()
            self._under_way -= 1
            try:
                then(told, failure)
            except Exception as error:  # noqa: BLE001 -- it must not keep the others from hearing of theirs
                self._loop.call_exception_handler(
                    {"message": "what follows a call of the disk failed", "exception": error}
                )

    def close(self) -> None:
        """End the threads once they have done what is under way."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()


def _resolve(outcome: asyncio.Future[Any], told: object, failure: Exception | None) -> None:
    if outcome.done():  # whoever waited was cancelled
        return
    if failure is None:
        outcome.set_result(told)
    else:
        outcome.set_exception(failure)

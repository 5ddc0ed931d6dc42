"""A watchdog on an event loop: the CPU time of its thread in each callback, and the stack of the longest."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

SAMPLED_AFTER = 0.004  # seconds of CPU after which a callback's stack is recorded
SAMPLED_EVERY = 0.002


@dataclass
class Longest:
    """The longest callback of a part, in seconds of its thread's CPU time without the garbage collector's."""

    seconds: float = 0.0
    callback: str = "none"  # its stack
    collecting: float = 0.0  # the longest round of the garbage collector

    def __str__(self) -> str:
        return f"{1000 * self.seconds:.1f} ms (garbage collector: {1000 * self.collecting:.1f} ms) in {self.callback}"


class LoopWatch:
    """Watches the loop of the thread that enters it. It must be one of asyncio's own, which run a ``Handle``."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread)
        self._longest = Longest()
        self._began: float | None = None  # CPU time at the start of the current callback
        self._stack = ""
        self._collected = self._collecting_since = 0.0
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        self._run = asyncio.Handle._run
        watch = self

        def run(handle: asyncio.Handle) -> None:
            if threading.get_ident() == watch._thread:
                watch._measured(handle)
            else:
                watch._run(handle)

        asyncio.Handle._run = run  # type: ignore[method-assign]
        gc.callbacks.append(self._collector)
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.Handle._run = self._run  # type: ignore[method-assign]
        gc.callbacks.remove(self._collector)
        self._stopped.set()
        self._sampler.join()

    @contextmanager
    def part(self) -> Iterator[Longest]:
        """The longest callback in the meantime. Begin and end it in a callback."""
        self._began = None
        self._longest = Longest()
        yield self._longest
        self._record(time.thread_time())

    def _measured(self, handle: asyncio.Handle) -> None:
        began = time.thread_time()
        self._record(began)
        self._stack, self._collected, self._began = "", 0.0, began
        self._run(handle)

    def _record(self, now: float) -> None:
        """Record the callback before this one, with what was freed after it."""
        if self._began is not None and (used := now - self._began - self._collected) > self._longest.seconds:
            self._longest.seconds, self._longest.callback = used, self._stack or "a callback that was not seen"

    def _collector(self, phase: str, _: object) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collecting_since = time.thread_time()
        else:
            took = time.thread_time() - self._collecting_since
            self._collected += took
            self._longest.collecting = max(self._longest.collecting, took)

    def _sample(self) -> None:
        """Record where the loop's thread is once a callback is long. The interpreter is shared, so it may be late."""
        while not self._stopped.wait(SAMPLED_EVERY):
            began = self._began
            if began is not None and time.clock_gettime(self._clock) - began > SAMPLED_AFTER:
                frame = sys._current_frames().get(self._thread)
                stack = "\n" + "".join(traceback.format_stack(frame)[-14:])
                if self._began == began and not self._stack:
                    self._stack = stack

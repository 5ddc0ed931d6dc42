"""The server's process: its event loop and threads, and an exit that nothing can delay."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, Event, Thread
from typing import Any, Final, TypeVar

import uvloop

from crm_core.errors import SetupError
from crm_core.server_log import ServerLog

T = TypeVar("T")
EXIT_SECONDS: Final = 28.0
"""From SIGTERM to the end of the process; service managers kill it after 30 seconds."""

_THREADS: Final = 4  # of the loop's executor, and of libuv
_log: Final = ServerLog("crm.server")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that awaits ``serve`` on a uvloop event loop whose threads have started.

    Raises SetupError if the system has too few threads.
    """
    return uvloop.run(_with_threads(main))


async def _with_threads(main: Coroutine[Any, Any, T]) -> T:
    """Start the loop's threads now, since one that cannot start later fails a request or aborts the process."""
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(_THREADS, "crm")
    try:
        _start_all(executor)
        with suppress(OSError):
            await loop.getaddrinfo("localhost", None)  # libuv starts its threads for names, or aborts
    except RuntimeError:
        executor.shutdown(wait=False)
        main.close()
        raise SetupError(["the system has too few threads left; raise the limit (ulimit -u, TasksMax)"]) from None
    loop.set_default_executor(executor)
    try:
        return await main
    finally:
        loop.set_default_executor(None)  # type: ignore[arg-type]  # or the loop's end starts a thread that waits for it
        executor.shutdown(wait=False, cancel_futures=True)


def _start_all(executor: ThreadPoolExecutor) -> None:
    """Start all threads of the executor, and see that the system has as many more for libuv. Raises RuntimeError."""
    together, enough = Barrier(_THREADS), Event()
    started: list[Thread] = []
    try:
        for _ in range(_THREADS):
            executor.submit(together.wait)
        while len(started) < _THREADS:
            thread = Thread(target=enough.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:
        together.abort()
        raise
    finally:
        enough.set()
        for thread in started:
            thread.join()


def exit_within(seconds: float) -> None:
    """End the process after ``seconds`` with exit code 1, even if its event loop is blocked. Needs the main thread."""
    signal.signal(signal.SIGALRM, _exit)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _exit(*_: object) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the system ends the process if its log is stuck too
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    _log.error("stop_timed_out")
    os._exit(1)

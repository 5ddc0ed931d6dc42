"""The server's process: its event loop and threads, and an end that nothing can delay."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import Any, Final, TypeVar

import uvloop

from crm_core.errors import SetupError
from crm_core.server_log import ServerLog

T = TypeVar("T")
EXIT_SECONDS: Final = 28.0
"""From SIGTERM to the end of the process; service managers kill it after 30 seconds."""

_THREADS: Final = 4
_log: Final = ServerLog("crm.server")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that awaits ``serve`` on a uvloop event loop whose threads have started.

    Raises: SetupError if the system has too few threads.
    """
    return uvloop.run(_with_threads(main))


async def _with_threads(main: Coroutine[Any, Any, T]) -> T:
    """Start the loop's threads now: one that cannot start later would fail a request, or abort the process."""
    loop = asyncio.get_running_loop()
    try:
        loop.set_default_executor(_started_executor())
        with suppress(OSError):
            await loop.getaddrinfo("localhost", None)  # libuv starts its own threads for names
    except RuntimeError:
        main.close()
        raise SetupError(["the system has too few threads left; raise the limit (ulimit -u, TasksMax)"]) from None
    return await main


def _started_executor() -> ThreadPoolExecutor:
    executor = ThreadPoolExecutor(_THREADS, "crm")
    everyone = Barrier(_THREADS)
    try:
        for _ in range(_THREADS):
            executor.submit(everyone.wait)
    except RuntimeError:
        everyone.abort()
        executor.shutdown(wait=False)
        raise
    return executor


def exit_within(seconds: float) -> None:
    """End the process after ``seconds`` with exit code 1, even if its event loop is blocked. Needs the main thread."""
    signal.signal(signal.SIGALRM, _exit)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _exit(*_: object) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the system ends the process if its log is stuck too
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    _log.error("stop_timed_out")
    os._exit(1)

"""Naming the plugin that does not return: while it waits on the event loop, nothing of the server answers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from crm_core.plugin.door import Door, RunningCall
from crm_core.server_log import ServerLog

LONG: Final = 3.0
"""Seconds after which a call that has not returned is reported."""

_log = ServerLog("crm.plugin")


@contextmanager
def watched(door: Door, report: Callable[[RunningCall, str], None], seconds: float = LONG) -> Iterator[None]:
    """Report calls through the door that do not return, from a thread: the event loop may be what they block."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(door, report, seconds, stop), name="plugin-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def logged(call: RunningCall, place: str) -> None:
    """Report in the server's log."""
    _log.error("plugin_blocked", plugin=call.plugin, hook=call.hook, at=place)


def printed(call: RunningCall, place: str) -> None:
    """Report on standard error, while there is no log yet."""
    sys.stderr.write(f"plugin {call.plugin}: {call.hook} has not returned for {LONG:g} s; it is at {place}.\n")


def _watch(door: Door, report: Callable[[RunningCall, str], None], seconds: float, stop: threading.Event) -> None:
    """Look a few times in ``seconds``; a call that was there the whole time is reported, once."""
    reported: dict[int, RunningCall] = {}
    while not stop.wait(seconds / 4):
        running = dict(door.running)
        for thread, call in running.items():
            if door.seconds_of(call) >= seconds and reported.get(thread) is not call:
                reported[thread] = call
                report(call, _place(thread))


def _place(thread: int) -> str:
    """The module and line that a thread is at."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 -- the documented way to look at another thread
    return f"{frame.f_globals.get('__name__')}:{frame.f_lineno}" if frame else "unknown"

"""Several processes that serve one socket: a parent that starts, replaces and stops its workers, and serves nothing.

The parent has no event loop and no threads, so it can fork a worker at any time. Through a pipe each worker reports
that it is ready, and notices when the parent is gone.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from crm_core.server.listen import Listener
from crm_core.server.process import EXIT_SECONDS
from crm_core.server_log import ServerLog

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_READY: Final = b"r"
_SHORT_LIFE: Final = 10.0  # seconds; a worker that ends sooner, or before it is ready, is replaced after growing delays
_DELAYS: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_log: Final = ServerLog("crm.workers")


class Parent:
    """A worker's end of the pipe to its parent."""

    def __init__(self, number: int, pipe: socket.socket) -> None:
        self.number = number
        self._pipe = pipe

    def ready(self) -> None:
        """Report that the worker accepts requests, and stop it when the parent is gone."""
        with suppress(OSError):
            self._pipe.send(_READY)
        asyncio.get_running_loop().add_reader(self._pipe, self._gone)

    def _gone(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.kill(os.getpid(), signal.SIGTERM)


Work = Callable[[Parent, Listener], int]
"""Serves until SIGTERM, in the worker; its exit code."""


class _Worker:
    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0  # 0: it does not run
        self.pipe: socket.socket | None = None
        self.ready = False
        self.started_at = self.start_at = 0.0
        self.failures = 0


class WorkerProcesses:
    """``count`` workers on one listener. ``ready`` is called once, when all of them are."""

    def __init__(self, count: int, listener: Listener, work: Work, ready: Callable[[], None]) -> None:
        self._listener, self._work, self._on_ready = listener, work, ready
        self._workers = [_Worker(number) for number in range(1, count + 1)]
        self._selector = selectors.DefaultSelector()
        self._is_ready = False
        self._stop_by: float | None = None  # by the monotonic clock, once a signal has requested the stop
        self._code = 0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code. If the first worker does not start, that is its exit code."""
        with _signals() as wakeup:
            self._wakeup = wakeup
            self._selector.register(wakeup, selectors.EVENT_READ)
            self._start(self._workers[0])
            while any(worker.pid for worker in self._workers) or self._stop_by is None:
                self._wait()
                self._reap()
                if self._stop_by is not None:
                    self._kill_late()
                elif self._code:
                    self._stop()
                elif self._workers[0].ready or self._is_ready:  # else the others would fail too
                    self._start_due()
        return self._code

    def _wait(self) -> None:
        """Wait for a signal, a message of a worker, or the next start or kill that is due."""
        now = time.monotonic()
        due = [worker.start_at for worker in self._workers if not worker.pid and self._stop_by is None]
        end = min([*due, self._stop_by if self._stop_by is not None else now + 60.0])
        for key, _ in self._selector.select(max(0.0, end - now)):
            if key.data is None:
                for number in self._wakeup.recv(64):
                    self._signalled(number)
            else:
                self._read_pipe(key.data)

    def _signalled(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP:
            self._send(signal.SIGHUP)

    def _stop(self) -> None:
        """Let every worker drain. A second signal ends the drain, since each worker gets a second one."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + EXIT_SECONDS
            self._listener.close()
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)

    def _kill_late(self) -> None:
        if self._stop_by is not None and time.monotonic() >= self._stop_by:
            self._stop_by += 1.0
            self._send(signal.SIGKILL)

    def _read_pipe(self, worker: _Worker) -> None:
        assert worker.pipe is not None
        if worker.pipe.recv(1) != _READY:
            self._selector.unregister(worker.pipe)
            return
        worker.ready = True
        if not self._is_ready and all(other.ready for other in self._workers):
            self._is_ready = True
            self._on_ready()

    def _start_due(self) -> None:
        for worker in self._workers:
            if not worker.pid and time.monotonic() >= worker.start_at:
                self._start(worker)

    def _start(self, worker: _Worker) -> None:
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError as error:  # too many processes, or no memory: the others serve on
            ours.close()
            theirs.close()
            _log.error("worker_failed", number=worker.number, error=error.strerror)
            self._delay(worker, short=True)
            if not worker.started_at and worker.number == 1:
                self._code = 1
            return
        if pid == 0:
            ours.close()
            self._become(worker.number, theirs)
        theirs.close()
        worker.pid, worker.pipe, worker.ready, worker.started_at = pid, ours, False, time.monotonic()
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _become(self, worker_number: int, pipe: socket.socket) -> None:
        """Run as a worker, in the fork, and end it."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it serves: it is about to read every file
            os.setpgid(0, 0)  # Ctrl-C reaches the parent alone: a worker would take it for a second signal
            for worker in self._workers:
                if worker.pipe is not None:
                    worker.pipe.close()
            code = self._work(Parent(worker_number, pipe), self._listener.shared())
        except Exception as error:  # noqa: BLE001 -- the boundary of the process; a stack trace may contain data
            _log.error("worker_failed", number=worker_number, error=type(error).__name__)
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.pid:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
                if pid:
                    self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: _Worker, code: int) -> None:
        assert worker.pipe is not None
        with suppress(KeyError):
            self._selector.unregister(worker.pipe)
        worker.pipe.close()
        pid, worker.pid, worker.pipe = worker.pid, 0, None
        if self._stop_by is not None:
            stopped = code in (0, -signal.SIGTERM)  # the signal ends a worker that does not serve yet
            self._code = self._code or (0 if stopped else 1)
            return
        if not self._is_ready and worker.number == 1 and not worker.ready:
            self._code = code if code > 0 else 1  # the worker has printed the reason
            return
        delay = self._delay(worker, short=not worker.ready or time.monotonic() - worker.started_at < _SHORT_LIFE)
        _log.error("worker_ended", number=worker.number, pid=pid, code=code, restart_seconds=delay)

    @staticmethod
    def _delay(worker: _Worker, *, short: bool) -> float:
        """Plan the next start of a worker; the seconds until then."""
        worker.failures = worker.failures + 1 if short else 0
        delay = _DELAYS[min(worker.failures, len(_DELAYS) - 1)]
        worker.start_at = time.monotonic() + delay
        return delay


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket that receives the numbers of signals."""
    read, write = socket.socketpair()
    for end in (read, write):
        end.settimeout(0)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        read.close()
        write.close()

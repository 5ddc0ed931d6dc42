"""Tests in several processes: ``--processes 3`` collects once, then forks workers that share the modules between them.

Workers start with every test module loaded. A fresh interpreter for each would import and collect everything again.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, NoReturn

import pytest
from _pytest._io import TerminalWriter

import forked

TOGETHER = ("browser",)
"""Folders whose modules share a server and a browser that cost more to start than a test."""
_NUMBER = 4  # bytes of a share's number in the queue: a pipe is read by several processes, each number by one


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--processes", type=int, default=0, metavar="N", help="share the modules between N processes")


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests in workers; in this process unless ``--processes`` is given."""
    config = session.config
    if not config.getoption("processes") or config.option.collectonly or session.testsfailed:
        return None
    assert threading.active_count() == 1, "a fork copies no other thread"
    forked.crm()  # the process that forks servers, once for all workers
    gc.collect()
    gc.freeze()
    remaining = list(session.items)
    while remaining and not (session.shouldfail or session.shouldstop):
        # A second time only for what a worker that died has left.
        finished = _Round(session, remaining).run()
        if not finished:
            raise session.Interrupted("workers end before they run a test")
        remaining = [item for item in remaining if item.nodeid not in finished]
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
    return True


def _shares(items: Sequence[pytest.Item]) -> list[list[pytest.Item]]:
    """Modules, but a folder of TOGETHER is one share: the largest, so it comes first."""
    shares: dict[Path, list[pytest.Item]] = {}
    for item in items:
        folder = next((folder for folder in item.path.parents if folder.name in TOGETHER), item.path)
        shares.setdefault(folder, []).append(item)
    return sorted(shares.values(), key=lambda share: share[0].path in shares)


class _Round:
    """Workers, until no share is left."""

    def __init__(self, session: pytest.Session, items: Sequence[pytest.Item]) -> None:
        self.session, self.hook = session, session.config.hook
        self.shares = _shares(items)
        self.finished: set[str] = set()
        self.running: dict[Connection, tuple[int, tuple[str, tuple[str, int | None, str]] | None]] = {}
        self.queue, put = os.pipe()
        with os.fdopen(put, "wb") as numbers:
            numbers.write(b"".join(share.to_bytes(_NUMBER) for share in range(len(self.shares))))

    def run(self) -> set[str]:
        """The names of the tests that have ended."""
        config = self.session.config
        base = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        for number in range(min(config.getoption("processes"), len(self.shares))):
            received, sent = Pipe(duplex=False)
            if (pid := os.fork()) == 0:
                for other in (received, *self.running):
                    other.close()  # so that a worker notices the end of the first process
                _Worker(self.session, sent).run(self._taken(), base / f"process-{number}")
            sent.close()
            self.running[received] = pid, None
        try:
            while self.running:
                for connection in wait(list(self.running)):
                    assert isinstance(connection, Connection)
                    self._receive(connection)
                if self.session.shouldfail or self.session.shouldstop:
                    deque(self._taken(), maxlen=0)  # other workers end with the share that they are at
        finally:
            os.close(self.queue)
            for pid, _ in self.running.values():  # only if this process is interrupted
                os.kill(pid, signal.SIGINT)
                os.waitpid(pid, 0)
        return self.finished

    def _taken(self) -> Iterator[pytest.Item]:
        """The tests of each share that no other process has taken from the queue."""
        while number := os.read(self.queue, _NUMBER):
            yield from self.shares[int.from_bytes(number)]

    def _receive(self, connection: Connection) -> None:
        pid, _ = self.running[connection]
        try:
            name, sent = connection.recv()
        except EOFError:
            self._ended(connection)
            return
        if name == "pytest_runtest_logreport":
            sent["report"] = self.hook.pytest_report_from_serializable(config=self.session.config, data=sent["report"])
        elif name == "pytest_warning_recorded":
            message, category, filename, lineno = sent["warning_message"]
            sent["warning_message"] = warnings.WarningMessage(category(message), category, filename, lineno)
            self.hook.pytest_warning_recorded.call_historic(kwargs=sent)
            return
        elif name == "pytest_runtest_logstart":
            self.running[connection] = pid, (sent["nodeid"], sent["location"])
        elif name == "pytest_runtest_logfinish":
            self.running[connection] = pid, None
            self.finished.add(sent["nodeid"])
        getattr(self.hook, name)(**sent)

    def _ended(self, connection: Connection) -> None:
        pid, started = self.running.pop(connection)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.close()
        if started is not None:
            nodeid, location = started
            text = f"the process of the test ended with {code}"
            report = pytest.TestReport(nodeid, location, {}, "failed", text, "call")
            self.hook.pytest_runtest_logreport(report=report)
            self.hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)
            self.finished.add(nodeid)


class _Worker:
    """A forked process: it runs tests, and what pytest would report goes to the first process."""

    def __init__(self, session: pytest.Session, connection: Connection) -> None:
        self.session, self.connection = session, connection
        self._tw = TerminalWriter(sys.stderr)  # for a timeout, which shows the stacks of all threads

    def run(self, items: Iterator[pytest.Item], base: Path) -> NoReturn:
        """Run the tests and end: the end of the session is for the first process."""
        code = 1
        try:
            self._prepare(base)
            self._run(items)
            code = 0
        except KeyboardInterrupt:
            pass
        except BaseException:  # noqa: BLE001  # in the first process it would be an internal error of pytest
            traceback.print_exc(file=sys.__stderr__)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _prepare(self, base: Path) -> None:
        config = self.session.config
        config.pluginmanager.unregister(name="terminalreporter")
        config.pluginmanager.register(self, "terminalreporter")
        capture: Any = config.pluginmanager.getplugin("capturemanager")
        capture.stop_global_capturing()  # its files are those of the first process
        capture.start_global_capturing()
        base.mkdir(mode=0o700, exist_ok=True)
        config._tmp_path_factory._basetemp = base  # type: ignore[attr-defined]

    def _run(self, items: Iterator[pytest.Item]) -> None:
        item = next(items, None)
        try:
            while item is not None and not (self.session.shouldfail or self.session.shouldstop):
                following = next(items, None)  # known before the test ends: it says which fixtures are still needed
                self.session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                item = following
        finally:
            self.session._setupstate.teardown_exact(None)

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self.connection.send(("pytest_runtest_logstart", {"nodeid": nodeid, "location": location}))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        config = self.session.config
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        self.connection.send(("pytest_runtest_logreport", {"report": data}))

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self.connection.send(("pytest_runtest_logfinish", {"nodeid": nodeid, "location": location}))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        parts = str(warning_message.message), warning_message.category, warning_message.filename, warning_message.lineno
        sent = {"warning_message": parts, "when": when, "nodeid": nodeid, "location": location}
        self.connection.send(("pytest_warning_recorded", sent))

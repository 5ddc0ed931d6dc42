from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, errno, os, sys, time
from pathlib import Path
from crm_core.cli.log_lines import set_up_logging
from crm_core.server.listen import bound
from crm_core.server.process import run
from crm_core.server.serve import serve
from crm_core.server.workers import WorkerProcesses

folder = Path(sys.argv[1])

async def app(scope, receive, send):
    if scope["path"] == "/slow":
        (folder / "begun").touch()
        await asyncio.sleep(0.7)
    if scope["path"] == "/end":
        os._exit(7)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % os.getpid()})

def work(parent, listener):
    set_up_logging(parent.number)
    (folder / f"started-{parent.number}").open("a").write("x")
    if (folder / f"fail-{parent.number}").exists():
        return 3
    while (folder / f"wait-{parent.number}").exists():
        time.sleep(0.01)
    run(serve(app, listen=listener, ready=lambda address: parent.ready()))
    (folder / f"drained-{parent.number}").touch()
    return 0

def fork(fork=os.fork):
    if (folder / "full").exists():
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
    return fork()

os.fork = fork
set_up_logging()
listener = bound("127.0.0.1:0")
sys.exit(WorkerProcesses(2, listener, work, lambda: print(listener.address, flush=True)).run())
"""


def eventually(condition: Callable[[], object]) -> bool:
    end = time.monotonic() + 20
    while not (true := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return bool(true)


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it may end before the file is opened, or before it is read
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Program:
    """A parent with two workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-c", PROGRAM, str(folder)]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        with self.process.stdout as printed:
            self.url = printed.readline().decode().strip()

    def get(self, path: str = "/") -> str:
        with closing(HTTPConnection(self.url.removeprefix("http://"), timeout=20)) as connection:
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def pids(self) -> set[int]:
        """The workers, by asking until both have answered."""
        found: set[int] = set()
        assert eventually(lambda: found.add(int(self.get())) or len(found) == 2)
        return found

    def started(self, number: int) -> int:
        path = self.folder / f"started-{number}"
        return len(path.read_text()) if path.exists() else 0

    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    running = Program(tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


def test_both_workers_serve_and_drain(program: Program) -> None:
    """Requests reach both; SIGTERM lets a request in progress finish, closes the socket, and exits 0."""
    pids, answers = program.pids(), []
    slow = threading.Thread(target=lambda: answers.append(program.get("/slow")))
    slow.start()
    assert eventually((program.folder / "begun").exists)
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(20) == 0
    slow.join()
    assert int(answers[0]) in pids
    assert all((program.folder / f"drained-{number}").exists() for number in (1, 2))
    assert not any(map(alive, pids))
    with pytest.raises(ConnectionRefusedError):
        program.get()


def test_a_dead_worker_is_replaced(program: Program) -> None:
    """A worker that is killed, or ends by itself, is replaced under its number; the other serves in the meantime."""
    first = program.pids()
    os.kill(min(first), signal.SIGKILL)
    assert int(program.get()) != min(first)
    assert eventually(lambda: program.started(1) + program.started(2) == 3)
    assert len(first & program.pids()) == 1
    with pytest.raises(ConnectionError):
        program.get("/end")
    assert eventually(lambda: program.started(1) + program.started(2) == 4)
    program.pids()
    assert '"code": -9' in program.log()
    assert '"code": 7' in program.log()


def test_a_worker_that_cannot_start_is_tried_ever_later(program: Program) -> None:
    """The other serves; the log says when the next try is; once it starts, both serve again."""
    first = program.pids()
    for number in (1, 2):
        (program.folder / f"fail-{number}").touch()
    os.kill(min(first), signal.SIGKILL)
    assert eventually(lambda: program.log().count('"code": 3') >= 2)
    assert '"restart_seconds": 0.5' in program.log()
    assert '"restart_seconds": 1.0' in program.log()
    assert int(program.get()) == max(first)
    for number in (1, 2):
        (program.folder / f"fail-{number}").unlink()
    program.pids()


def test_a_worker_that_the_system_has_no_room_for_is_tried_again(program: Program) -> None:
    """While no process can be created the other worker serves; then both do again."""
    first = program.pids()
    (program.folder / "full").touch()
    os.kill(min(first), signal.SIGKILL)
    assert eventually(lambda: program.log().count("Resource temporarily unavailable") >= 2)
    assert int(program.get()) == max(first)
    (program.folder / "full").unlink()
    assert max(first) in program.pids()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, None), (signal.SIGTERM, 0)])
def test_a_signal_finds_a_worker_that_starts(program: Program, number: signal.Signals, code: int | None) -> None:
    """A hangup does not end it, since it reads every file anyway; a stop does, and counts as one."""
    first = program.pids()
    for waiting in (1, 2):
        (program.folder / f"wait-{waiting}").touch()
    os.kill(min(first), signal.SIGKILL)
    assert eventually(lambda: program.started(1) + program.started(2) == 3)
    program.process.send_signal(number)
    if code is not None:
        assert program.process.wait(20) == code
        return
    for waiting in (1, 2):
        (program.folder / f"wait-{waiting}").unlink()
    program.pids()
    assert program.log().count("worker_ended") == 1


def test_the_first_worker_that_fails_ends_the_server(tmp_path: Path) -> None:
    """If the first cannot start, no other is started, and the parent exits with its code."""
    (tmp_path / "fail-1").touch()
    program = Program(tmp_path)
    assert program.process.wait(20) == 3
    assert (program.url, program.started(2)) == ("", 0)


def test_workers_end_with_their_parent(program: Program) -> None:
    """After kill -9 of the parent its workers drain and end."""
    pids = program.pids()
    program.process.kill()
    assert eventually(lambda: not any(map(alive, pids)))
    assert all((program.folder / f"drained-{number}").exists() for number in (1, 2))

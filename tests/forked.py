"""The ``crm`` command without its start: one process loads the product, and forks for each command and each server.

A forked process runs ``main`` with the words, folder, environment and streams of its caller, and is a process like any
other; only the half second of Python's imports is missing, and the cost of passwords and certificates. ``crm()`` is a
program like the real one, ``start()`` like ``subprocess.Popen``. Use the real one where the start, the limits or the
memory of a process are the subject.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

REAL = Path(sys.executable).with_name("crm")
_READ_AT_START = ("PYTHON", "LANG", "LC_")
"""The variables that act when Python starts or a module is imported."""
_SHIM = """#!{python} -IS
import _socket, json, os, sys
words = sys.argv[1:]
at_start = {{name: value for name, value in os.environ.items() if name.startswith({prefixes!r})}}
if at_start != {at_start!r} or "--follow" in words or words[:1] == ["serve"] or words[:2] == ["manager", "--config"]:
    os.execv({real!r}, [{real!r}, *words])
to = _socket.socket(_socket.AF_UNIX)
to.connect({address!r})
fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in range(3))
sent = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
to.sendmsg([len(sent).to_bytes(8, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
to.sendall(sent)
to.recv(8)
code = int.from_bytes(to.recv(8), "big", signed=True)
sys.exit(code if code >= 0 else 128 - code)
"""


class Process:
    """A forked process, with what ``subprocess.Popen`` has for one."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.args = words
        self.returncode: int | None = None
        self._to = socket.socket(socket.AF_UNIX)
        self._to.connect(str(_address()))
        sent = json.dumps([list(words), str(Path.cwd()), dict(environ)]).encode()
        socket.send_fds(self._to, [len(sent).to_bytes(8, "big")], [0, stdout.fileno(), stderr.fileno()])
        self._to.sendall(sent)
        self.pid = self._number()

    def _number(self) -> int:
        received = self._to.recv(8)
        assert received, "the process that forks has ended"
        return int.from_bytes(received, "big", signed=True)

    def poll(self) -> int | None:
        """The exit code, or the signal's number below zero; None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._to, select.POLLIN)
            if poll.poll(None if timeout is None else timeout * 1000):
                self.returncode = self._number()
                self._to.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    words: Sequence[str], environ: Mapping[str, str], stdout: IO[bytes], stderr: IO[bytes]
) -> Process | subprocess.Popen[bytes]:
    """Start ``crm`` with these words; the real one outside of tests, and where the start itself makes a difference."""
    measured = "PYTEST_VERSION" not in os.environ or "COVERAGE_PROCESS_CONFIG" in os.environ
    if measured or "--dev" in words or _at_start(environ) != _at_start(os.environ):
        return subprocess.Popen([REAL, *words], env=environ, stdout=stdout, stderr=stderr)
    return Process(words, environ, stdout, stderr)


def _at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(_READ_AT_START)}


@cache
def crm() -> Path:
    """The program; where coverage is measured, the real one."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        return REAL
    program = _address().with_name("crm")
    known: dict[str, Any] = {"prefixes": _READ_AT_START, "at_start": _at_start(os.environ)}
    program.write_text(_SHIM.format(python=sys.executable, real=str(REAL), address=str(_address()), **known))
    program.chmod(0o755)
    return program


@cache
def _address() -> Path:
    """The socket of the server that forks, which ends with this process."""
    address = Path(tempfile.mkdtemp(prefix="crm-")) / "socket"
    server = subprocess.Popen([sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    atexit.register(server.communicate)
    return address


def load() -> None:
    """Import what commands, servers and their pages import."""
    import gc
    import importlib
    import pkgutil
    import threading

    import crm_core
    from crm_core.compose import UNUSED
    from crm_core.lean_imports import without
    from crm_core.plugin.host import installed

    apart = ("crm_core.demo", "crm_core.testing")
    with without(*UNUSED):
        for module in pkgutil.walk_packages(crm_core.__path__, "crm_core."):
            if not module.name.startswith(apart) and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for plugin in installed():
        plugin.load()
    cheapen()
    assert threading.active_count() == 1
    gc.freeze()


def cheapen() -> None:
    """Take from each process what is no subject of its tests: the cost of passwords and of certificates."""
    import httpx

    from plain_http import share_certificates
    from quick_passwords import hash_quickly

    hash_quickly()
    share_certificates()
    httpx.HTTPTransport().close()  # loads the certificates


def serve(address: str) -> socket.socket | None:
    """Fork for each connection, until standard input ends. Returns the connection in the forked process."""
    running: dict[int, tuple[int, socket.socket]] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while sys.stdin not in (due := select.select([listener, sys.stdin, *running], [], [])[0]):
            for fd in running.keys() & due:
                pid, connection = running.pop(fd)
                os.close(fd)
                with connection:
                    _report(connection, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            if listener in due:
                connection, _ = listener.accept()
                if (pid := os.fork()) == 0:
                    for fd, (_, other) in running.items():
                        os.close(fd)
                        other.close()
                    return connection
                running[os.pidfd_open(pid)] = pid, connection
                _report(connection, pid)
    shutil.rmtree(Path(address).parent)
    return None


def _report(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # the caller may have ended
        connection.sendall(number.to_bytes(8, "big", signed=True))


def become(connection: socket.socket) -> None:
    """Take the words, the folder, the environment and the streams of the caller."""
    import time

    head, fds, _, _ = socket.recv_fds(connection, 8, 3)
    words, folder, environ = json.loads(connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
    connection.close()
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv = [str(REAL), *words]


def run() -> None:
    """Run ``main`` and end as Python does, but for its last step: to free what the product imported, piece by piece."""
    from crm_core.cli.main import main

    try:
        main()
    except SystemExit as done:
        if not isinstance(done.code, int | None):
            raise
        _code.append(done.code or 0)
    else:
        _code.append(0)


_code: list[int] = []


@atexit.register  # before all others, so that it is called after them
def _end() -> None:
    if _code:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_code[0])


if __name__ == "__main__":
    load()
    if (caller := serve(sys.argv[1])) is not None:
        become(caller)
        run()

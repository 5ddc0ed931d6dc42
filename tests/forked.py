"""The ``crm`` command without its start: one process loads the product, and forks for each command.

``crm()`` is a program like the real one, of which ten run in the time that Python needs to import the product once.
What runs until a signal is the real one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

REAL = Path(sys.executable).with_name("crm")
_SHIM = """#!{python} -IS
import _socket, json, os, sys
words = sys.argv[1:]
if os.environ.get("PYTHONPATH") != {path!r} or "--follow" in words or words[:1] in (["serve"], ["manager"]):
    os.execv({real!r}, [{real!r}, *words])
to = _socket.socket(_socket.AF_UNIX)
to.connect({address!r})
fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in range(3))
sent = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
to.sendmsg([len(sent).to_bytes(8, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
to.sendall(sent)
sys.exit(int(to.recv(8) or b"1"))
"""


@cache
def crm() -> Path:
    """The program, whose server ends with this process; where coverage is measured, the real one."""
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        return REAL
    folder = Path(tempfile.mkdtemp(prefix="crm-"))
    address = folder / "socket"
    server = subprocess.Popen([sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    atexit.register(server.communicate)
    program = folder / "crm"
    program.write_text(
        _SHIM.format(python=sys.executable, real=str(REAL), address=str(address), path=os.environ.get("PYTHONPATH"))
    )
    program.chmod(0o755)
    return program


def serve(address: str) -> None:
    """Fork for each connection, until standard input ends."""
    import importlib
    import select
    from importlib.metadata import entry_points

    from crm_core.cli.main import COMMANDS

    for module, _ in COMMANDS.values():
        importlib.import_module(module.partition(":")[0])
    importlib.import_module("crm_core.compose")
    for plugin in entry_points(group="crm"):
        plugin.load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(run(connection))
            connection.close()
    shutil.rmtree(Path(address).parent)


def run(connection: socket.socket) -> int:
    """Run a command with the words, the folder, the environment and the streams of its caller."""
    import json
    import time

    from crm_core.cli.main import main

    head, fds, _, _ = socket.recv_fds(connection, 8, 3)
    words, folder, environ = json.loads(connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 -- until it ends
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv = ["crm", *words]
    code: object = 1
    try:
        code = main()
    except SystemExit as done:
        code = done.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(b"%d" % (code if isinstance(code, int) else code is not None))
    return 0


if __name__ == "__main__":
    serve(sys.argv[1])

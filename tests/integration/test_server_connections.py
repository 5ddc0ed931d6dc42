"""An instance that may open few files, and clients that open many connections."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from contract.box import BRANDING, Box, good, until

FILES = 200
IDLE = 260
HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture
def box(tmp_path: Path) -> Any:
    """An instance that may open 200 files, its stores and libraries included."""
    box = Box(tmp_path / "instance").create_tenants().start(f"ulimit -n {FILES}")
    yield box
    box.stop()


def opened(stack: ExitStack, port: int, sent: bytes = b"") -> list[socket.socket]:
    """More connections than the instance may have files, which then say nothing more."""
    connections = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(IDLE)]
    for connection in connections:
        connection.sendall(sent)
    return connections


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD], ids=["idle", "half a head"])
def test_idle_connections_do_not_shut_the_platform_out(box: Box, sent: bytes) -> None:
    """A push gets through 260 idle connections, the oldest of them are closed, and one log line says so."""
    with ExitStack() as stack:
        connections = opened(stack, box.port, sent)
        good(box.push("branding", BRANDING))
        connections[0].settimeout(20)
        assert connections[0].recv(1) == b""
        until(lambda: "connections_shed" in box.log_text(), box.log_text)
    lines = [json.loads(line) for line in box.log_text().splitlines() if "connections_shed" in line]
    assert [(line["level"], line["limit"]) for line in lines] == [("warning", FILES // 3)]


def test_a_soft_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    """With a soft limit below the hard one no connection is closed."""
    box = Box(tmp_path / "instance").create_tenants().start(f"ulimit -S -n {FILES}")
    with ExitStack() as stack:
        connections = opened(stack, box.port)
        good(box.push("branding", BRANDING))
        connections[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            connections[0].recv(1)
    assert box.stop() == 0
    assert "connections_shed" not in box.log_text()

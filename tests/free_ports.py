"""Ports for servers that are started later."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from itertools import cycle

_EACH = 2500
_FIRST = 12_000 + _EACH * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8)
_START = random.randrange(_EACH)  # other runs on this machine begin elsewhere
_PORTS: Iterator[int] = cycle([*range(_FIRST + _START, _FIRST + _EACH), *range(_FIRST, _FIRST + _START)])


def free_port() -> int:
    """A free port of loopback, which stays free.

    The system chooses ports for clients, and for servers that name none, from 32768 on: it would soon give one of them
    to another. Each process of a run has its range.
    """
    while True:
        port = next(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port

"""How long and how much: the same for the manager and for the nginx in its place."""

from __future__ import annotations

from typing import Final

import msgspec

MOST_IN_FLIGHT: Final = 2048
"""Requests that one upstream is given at a time, so that one that hangs leaves sockets for the others."""

RETRY_SECONDS: Final = 1
"""When a client is told to come again after an instance could not be reached."""


class Patience(msgspec.Struct, frozen=True):
    """How long upstreams are waited for, in seconds.

    ``connect``: for a connection; ``answer``: from a request to the head of its answer; ``part``: between two parts of
    the answer's body. ``keep``: an idle connection is kept for the next request, less long than an instance keeps it,
    which is never the one to close first so.
    """

    connect: float = 2.0
    answer: float = 60.0
    part: float = 60.0
    keep: float = 30.0

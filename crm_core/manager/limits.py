"""Limits of the manager, and of nginx in its place."""

from __future__ import annotations

from typing import Final

import msgspec

from crm_core.server.limits import Deadlines

DEADLINES: Final = Deadlines(body=35.0)
"""Of clients. An instance's deadline for a body comes first: it logs the refusal, and a browser app can read it."""

MAX_IN_FLIGHT: Final = 2048
"""Requests in progress at one upstream, without event streams; one that hangs leaves sockets for the others."""

RETRY_SECONDS: Final = 1
"""Retry-After of a response for an instance that could not be reached."""


class Timeouts(msgspec.Struct, frozen=True):
    """Timeouts of an upstream, in seconds.

    ``connect``: for a connection; ``answer``: from a request to the head of its response; ``part``: between two parts
    of the response's body; ``idle``: for an unused connection, shorter than the instance's, so that the instance never
    closes first; ``last``: from the manager's stop to the head of a response that can be requested again.
    """

    connect: float = 2.0
    answer: float = 60.0
    part: float = 60.0
    idle: float = 30.0
    last: float = 2.0

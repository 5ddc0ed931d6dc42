"""Limits of connections: how many are open, and for how long."""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from typing import Final, Protocol

import msgspec

from crm_core.errors import CrmError, TooManyConnections
from crm_core.server_log import ServerLog

_MAX_CONNECTIONS: Final = 16_384
_MAX_BACKLOG: Final = 2048
_LOG_SECONDS: Final = 60.0
_log: Final = ServerLog("crm.server")


class Deadlines(msgspec.Struct, frozen=True):
    """Seconds that a client has: for a head, for a body, between requests, and to read the last response.

    ``unread``: for how long it may read nothing although a part of its response waits.
    """

    head: float = 10.0
    body: float = 30.0
    idle: float = 75.0
    linger: float = 1.0
    unread: float = 60.0


class Connection(Protocol):
    """A connection as the limit sees it."""

    def shed(self) -> None:
        """Close immediately."""

    def refuse(self, error: CrmError) -> None:
        """Respond with an error and close."""


def connections_for(files: int) -> int:
    """Return how many connections a process with ``files`` open files may have.

    As many are for the store, or for the manager's connections to upstreams; the rest for connections that are refused.
    """
    return max(1, min(_MAX_CONNECTIONS, files // 3))


def raise_open_files() -> int:
    """Raise the limit of open files as far as allowed and return it: the soft limit is often 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_CONNECTIONS * 2 if soft == resource.RLIM_INFINITY else soft


class ConnectionLimit:
    """Keeps the open connections at ``most``: a new one replaces the one that has been idle longest.

    A connection is idle until its request's head is complete, so a slow head does not protect it. Counts are logged at
    most once a minute.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # in the order in which they became idle
        self._refused_open: set[Connection] = set()
        self._shed = self._refused = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def backlog(self) -> int:
        """How many connections may wait. They are accepted together and must not use up the open files."""
        return max(1, min(_MAX_BACKLOG, self.most // 2))

    def admit(self, connection: Connection) -> None:
        """Add a new connection, shedding the one that is idle longest if needed; refuse it if all are busy."""
        if len(self._open) >= self.most and self._idle:
            oldest = next(iter(self._idle))
            self.remove(oldest)
            oldest.shed()
            self._shed += 1
        if len(self._open) < self.most:
            self._open.add(connection)
            self._idle[connection] = None
        else:
            self._refused += 1
            if len(self._refused_open) < self.backlog:
                self._refused_open.add(connection)
                connection.refuse(TooManyConnections("All connections are busy. Try again.", retry_after=1))
            else:
                connection.shed()
        self._log_counts()

    def busy(self, connection: Connection) -> None:
        """Record that a request is in progress."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """Record that the last response is complete."""
        if connection in self._open:
            self._idle[connection] = None

    def remove(self, connection: Connection) -> None:
        """Remove a connection that closes."""
        self._open.discard(connection)
        self._idle.pop(connection, None)
        self._refused_open.discard(connection)

    def _log_counts(self) -> None:
        if self._timer is None and (self._shed or self._refused):
            _log.warning("connections_shed", shed=self._shed, refused=self._refused, limit=self.most)
            self._shed = self._refused = 0
            self._timer = asyncio.get_running_loop().call_later(_LOG_SECONDS, self._minute_over)

    def _minute_over(self) -> None:
        self._timer = None
        self._log_counts()

"""One process that serves an instance: the connections to it, and its health, checked at /readyz every second."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, Literal

import aiohttp
import msgspec
from yarl import URL

from crm_core.manager.limits import MAX_IN_FLIGHT, Timeouts
from crm_core.model import times
from crm_core.model.waiting import set_within
from crm_core.server_log import ServerLog
from crm_core.settings.instances import UpstreamAddress as Address

log: Final = ServerLog("crm.manager")

_INTERVAL_SECONDS: Final = 1.0
_PROBE_TIMEOUT_SECONDS: Final = 2.0
_HEAD_LIMIT: Final = 64 * 1024
_BUFFER: Final = 64 * 1024
_ADDED_BY_CLIENT: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

State = Literal["unknown", "up", "down"]


class Failure(msgspec.Struct, frozen=True):
    """The last error of an upstream."""

    at: datetime
    what: str


class Upstream:
    """An address of instances.yaml in use; a context manager that counts a request in progress.

    Needs a running event loop; ``close`` ends its connections.
    """

    def __init__(self, address: Address, timeouts: Timeouts, now: Callable[[], datetime]) -> None:
        self.address = address
        self.drained = address.drained
        self.in_flight = 0
        self.streams = 0  # event streams among them; each is a client that has its connection
        self.state: State = "unknown"
        self.storage_up = True  # whether its database answers: other upstreams may reach theirs
        self.since = now()
        self.last_failure: Failure | None = None
        self.retired = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._now = now
        self._session = _session(address, timeouts)
        self._origin = address.url or "http://localhost"

    @property
    def open(self) -> bool:
        """Whether it accepts a request."""
        return not self.drained and not self.retired.is_set() and self.in_flight - self.streams < MAX_IN_FLIGHT

    async def request(self, method: str, target: str, **options: Any) -> aiohttp.ClientResponse:
        """Send a request with the target unchanged, and return when the response's head is complete."""
        url = URL(self._origin + target, encoded=True)
        return await self._session.request(method, url, allow_redirects=False, **options)

    def __enter__(self) -> None:
        """Count a request in progress."""
        self.in_flight += 1
        self._idle.clear()

    def __exit__(self, *_: object) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()

    async def monitor(self) -> None:
        """Check it until it is retired; then wait for its requests and close it."""
        try:
            while not self.retired.is_set():
                await self._probe()
                await set_within(self.retired, _INTERVAL_SECONDS)
            await self._idle.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """End its connections."""
        await self._session.close()

    async def _probe(self) -> None:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
                answer = await self.request("GET", "/readyz")
                async with answer:
                    text = await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.record_failure(f"/readyz: {reason_of(error)}")
            return
        if answer.status == HTTPStatus.OK:
            self.storage_up = _storage_up(text)
            self.mark_up()
        else:
            self.record_failure(f"/readyz answered {answer.status}")

    def mark_up(self) -> None:
        """Record that it answered."""
        if self.state != "up":
            log.info("upstream_up", upstream=str(self.address))
            self._change("up")

    def record_failure(self, what: str, *, down: bool = True) -> None:
        """Record an error; with ``down`` it is used last until it works again."""
        self.last_failure = Failure(self._now(), what)
        if down and self.state != "down":
            log.warning("upstream_down", upstream=str(self.address), error=what)
            self._change("down")

    def report(self) -> dict[str, object]:
        """Return its state, for operators."""
        failure = self.last_failure
        return {
            "upstream": str(self.address),
            "state": "drained" if self.drained else self.state,
            "storage_up": self.storage_up,
            "since": times.to_wire(self.since),
            "in_flight": self.in_flight,
            "last_error": {"at": times.to_wire(failure.at), "what": failure.what} if failure else None,
        }

    def _change(self, state: State) -> None:
        self.state = state
        self.since = self._now()


class _Ready(msgspec.Struct):
    """The member of /readyz that matters here; instances of earlier versions have none."""

    storage_up: bool = True


def _storage_up(text: bytes) -> bool:
    with suppress(msgspec.MsgspecError):  # an upstream may be any program
        return msgspec.json.decode(text, type=_Ready).storage_up
    return True


def reason_of(error: BaseException) -> str:
    """Return one line on why an upstream could not be reached, without its address, which is shown with it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno or errno.ECONNREFUSED).lower()
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, aiohttp.ServerDisconnectedError | OSError):
        return "it closed the connection before it answered"
    return f"its answer cannot be read ({type(error).__name__})"


def _session(address: Address, timeouts: Timeouts) -> aiohttp.ClientSession:
    connector: aiohttp.BaseConnector
    if address.unix is not None:
        connector = aiohttp.UnixConnector(str(address.unix), limit=0, keepalive_timeout=timeouts.idle)
    else:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=timeouts.idle)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_ADDED_BY_CLIENT,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect),
        read_bufsize=_BUFFER,
        max_line_size=_HEAD_LIMIT,
        max_field_size=_HEAD_LIMIT,
        max_headers=1000,
    )

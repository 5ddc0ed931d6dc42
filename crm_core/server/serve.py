"""Run an ASGI application until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing, contextmanager, nullcontext
from email.utils import formatdate
from functools import partial
from typing import Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from crm_core.errors import SetupError
from crm_core.model.waiting import set_within
from crm_core.server.asgi import Asgi
from crm_core.server.connection import ServerConnection
from crm_core.server.cycle import log
from crm_core.server.limits import ConnectionLimit, Deadlines, connections_for, raise_open_files
from crm_core.server.listen import Listener, bound
from crm_core.server.paced_starts import PacedStarts
from crm_core.server.process import exit_within

_POLL_SECONDS: Final = 0.05
_COLLECTING: Final = 10_000, 20, 50
"""Objects until a collection, and collections until a deeper one: the deepest stops the loop for milliseconds."""
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def _random_id() -> str:
    return str(uuid.uuid4())


async def serve(
    app: Asgi,
    *,
    listen: str | Listener,
    ready: Callable[[str], None],
    drain_seconds: float = 20.0,
    exit_seconds: float | None = None,
    deadlines: Deadlines | None = None,
    on_stop: Callable[[], None] | None = None,
    on_hangup: Callable[[], None] | None = None,
    new_request_id: Callable[[], str] = _random_id,
    instance: str | None = None,
    lifespan: AbstractAsyncContextManager[object] | None = None,
) -> None:
    """Serve ``app`` (ASGI 3, requests only) on ``listen`` until SIGTERM or SIGINT, then drain and return.

    ``listen`` is ``host:port``, ``unix:/path``, or what ``bound`` made of one; ``ready`` gets the address,
    ``http://host:port`` or ``unix:/path``, once requests are accepted. The signal closes the listener and calls
    ``on_stop`` (to end event streams, which would delay the drain); requests in progress have ``drain_seconds`` to
    finish. A second signal ends the wait. ``on_hangup`` is called at SIGHUP, which is ignored without it. With
    ``exit_seconds`` the process ends that long after the signal, even if something has not returned. ``lifespan`` is
    entered before the server listens and left after the last response. Needs the main thread.
    ``instance``: the code of the one instance that is served, which problems refer to.

    Raises SetupError if the address cannot be used, and the errors of ``lifespan``.
    """
    stop, state = _Stop(exit_seconds), ServerState()
    listener = bound(listen) if isinstance(listen, str) else listen
    with _signals(stop, on_hangup), closing(listener):
        async with lifespan or nullcontext():
            limit = ConnectionLimit(connections_for(raise_open_files()))
            deadlines = deadlines or Deadlines()
            connection = partial(
                ServerConnection,
                _config(app, deadlines.idle),
                state,
                {},
                deadlines=deadlines,
                limit=limit,
                new_request_id=new_request_id,
                instance=instance,
            )
            _set_date(state)
            async with _listening(listener, connection, limit.backlog):
                gc.collect()
                gc.freeze()  # the collector skips objects that live as long as the server
                gc.set_threshold(*_COLLECTING)
                ready(listener.address)
                await _until(stop, state)
            if on_stop is not None:
                on_stop()
            await _drain(state, drain_seconds, stop)


class _Stop:
    """The request to stop; a second one is immediate."""

    def __init__(self, exit_seconds: float | None) -> None:
        self.requested = asyncio.Event()
        self.immediate = False
        self._exit_seconds = exit_seconds

    def request(self) -> None:
        self.immediate = self.requested.is_set()
        self.requested.set()
        if self._exit_seconds is not None and not self.immediate:
            exit_within(self._exit_seconds)


@contextmanager
def _signals(stop: _Stop, on_hangup: Callable[[], None] | None) -> Iterator[None]:
    """The signal handlers while the server runs."""
    loop = asyncio.get_running_loop()
    handlers = {**dict.fromkeys(_STOP_SIGNALS, stop.request), signal.SIGHUP: on_hangup or (lambda: None)}
    hangup = signal.getsignal(signal.SIGHUP)
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
        signal.signal(signal.SIGHUP, hangup)


def _config(app: Asgi, idle_seconds: float) -> Config:
    config = Config(
        PacedStarts(app),
        http=ServerConnection,
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    config.timeout_keep_alive = idle_seconds  # type: ignore[assignment]  # its declared int goes to call_later alone
    config.load()
    return config


@asynccontextmanager
async def _listening(
    listener: Listener, connection: Callable[[], ServerConnection], backlog: int
) -> AsyncIterator[None]:
    """Accept connections meanwhile."""
    loop = asyncio.get_running_loop()
    with ExitStack() as servers:
        try:
            for sock in listener.sockets:
                create = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
                servers.callback((await create(connection, sock=sock, backlog=backlog)).close)
        except OSError as error:
            raise SetupError([f"listen: {listener.address} cannot be listened on: {error.strerror}"]) from error
        yield


async def _until(stop: _Stop, state: ServerState) -> None:
    """Wait for the stop and update the responses' date (RFC 9110, section 6.6.1)."""
    while not stop.requested.is_set():
        _set_date(state)
        await set_within(stop.requested, 1.0 - time.time() % 1.0 + 0.001)


def _set_date(state: ServerState) -> None:
    # made once a second; connections read it for every response
    state.default_headers = [(b"date", formatdate(usegmt=True).encode())]


async def _drain(state: ServerState, seconds: float, stop: _Stop) -> None:
    for connection in list(state.connections):
        connection.shutdown()
    end = asyncio.get_running_loop().time() + seconds
    while state.connections or state.tasks:
        if stop.immediate or asyncio.get_running_loop().time() >= end:
            await _abort(state)
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _abort(state: ServerState) -> None:
    log.warning("the drain's deadline has passed; requests cut off: %d", len(state.tasks))
    for task in list(state.tasks):
        task.cancel()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=1.0)
    for connection in list(state.connections):
        if (transport := connection.transport) is not None:
            transport.abort()
    await asyncio.sleep(0)

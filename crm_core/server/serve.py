"""Run an ASGI application until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from email.utils import formatdate
from typing import Any, Final, TypeVar

import uvloop
from uvicorn.config import Config
from uvicorn.server import ServerState

from crm_core.errors import SetupError
from crm_core.server.connection import Deadlines, ServerConnection
from crm_core.server.cycle import log
from crm_core.server.lifespan import Lifespan
from crm_core.server.listen import Listener, bound

T = TypeVar("T")
_POLL_SECONDS: Final = 0.05
_BACKLOG: Final = 2048
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine, as a rule one that awaits ``serve``, on a uvloop event loop."""
    return uvloop.run(main)


def _random_id() -> str:
    return str(uuid.uuid4())


async def serve(
    app: Any,
    *,
    listen: str,
    ready: Callable[[str], None],
    drain_seconds: float = 20.0,
    deadlines: Deadlines | None = None,
    on_stop: Callable[[], None] | None = None,
    on_hangup: Callable[[], None] | None = None,
    new_request_id: Callable[[], str] = _random_id,
) -> None:
    """Serve ``app`` (ASGI 3 with lifespan) on ``listen`` until SIGTERM or SIGINT, then drain and return.

    ``listen`` is ``host:port`` or ``unix:/path``; ``ready`` gets the address, ``http://host:port`` or
    ``unix:/path``, once requests are accepted. At the signal nothing new is accepted, ``on_stop`` is called (to end
    event streams, which would else hold the drain up), what is in flight has ``drain_seconds`` to finish, and the
    application's lifespan ends; a second signal cuts the wait short. ``on_hangup`` is called at SIGHUP, which
    without it is ignored.

    Raises SetupError where the address cannot be had or the application does not start. Needs the main thread.
    """
    stop = _Stop()
    listener = bound(listen)
    lifespan = Lifespan(app)
    state = ServerState()
    with _Signals(stop, on_hangup):
        try:
            await lifespan.start()
            connection = _connections(app, state, lifespan, deadlines or Deadlines(), new_request_id)
            servers: list[asyncio.AbstractServer] = []
            try:
                await _listen(servers, listener, connection)
                gc.collect()
                gc.freeze()  # what lives as long as the server is not looked at by the collector again
                ready(listener.address)
                await _until(stop, state)
                for server in servers:
                    server.close()
                if on_stop is not None:
                    on_stop()
                await _drain(state, drain_seconds, stop)
            finally:
                for server in servers:
                    server.close()
                await lifespan.stop()
        finally:
            listener.close()


class _Stop:
    """How often it was asked to stop."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurry = False

    def ask(self) -> None:
        self.hurry = self.asked.is_set()
        self.asked.set()


class _Signals:
    """The signals' handlers while the server runs."""

    def __init__(self, stop: _Stop, on_hangup: Callable[[], None] | None) -> None:
        self._stop = stop
        self._on_hangup = on_hangup
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> None:
        for number in _STOP_SIGNALS:
            self._loop.add_signal_handler(number, self._stop.ask)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup or (lambda: None))

    def __exit__(self, *_: object) -> None:
        for number in (*_STOP_SIGNALS, signal.SIGHUP):
            self._loop.remove_signal_handler(number)


def _connections(
    app: Any, state: ServerState, lifespan: Lifespan, deadlines: Deadlines, new_request_id: Callable[[], str]
) -> Callable[[], ServerConnection]:
    config = Config(
        app,
        http=ServerConnection,
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    config.timeout_keep_alive = deadlines.idle  # type: ignore[assignment]  # its declared int goes to call_later alone
    config.load()
    _set_date(state)
    return lambda: ServerConnection(config, state, lifespan.state, deadlines, new_request_id)


async def _listen(
    servers: list[asyncio.AbstractServer], listener: Listener, connection: Callable[[], ServerConnection]
) -> None:
    loop = asyncio.get_running_loop()
    try:
        for each in listener.sockets:
            make = loop.create_unix_server if each.family == socket.AF_UNIX else loop.create_server
            servers.append(await make(connection, sock=each, backlog=_BACKLOG))
    except OSError as error:
        raise SetupError([f"listen: {listener.address} cannot be listened on: {error.strerror}"]) from error


async def _until(stop: _Stop, state: ServerState) -> None:
    """Wait for the stop; meanwhile the answers' date moves on (RFC 9110, section 6.6.1)."""
    while not stop.asked.is_set():
        _set_date(state)
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0 - time.time() % 1.0 + 0.001):
                await stop.asked.wait()


def _set_date(state: ServerState) -> None:
    # connections read it for every answer: one value a second, not one per request
    state.default_headers = [(b"date", formatdate(usegmt=True).encode())]


async def _drain(state: ServerState, seconds: float, stop: _Stop) -> None:
    for connection in list(state.connections):
        connection.shutdown()
    end = asyncio.get_running_loop().time() + seconds
    while state.connections or state.tasks:
        if stop.hurry or asyncio.get_running_loop().time() >= end:
            await _cut(state)
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _cut(state: ServerState) -> None:
    log.warning("the drain's time is over: %d requests are cut off", len(state.tasks))
    for task in list(state.tasks):
        task.cancel()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=1.0)
    for connection in list(state.connections):
        if (transport := connection.transport) is not None:
            transport.abort()
    await asyncio.sleep(0)

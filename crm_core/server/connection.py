"""One client's connection: uvicorn's httptools protocol with deadlines, limits and answers of our own."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import httptools
import msgspec
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from crm_core.errors import CrmError, HeadTooLarge, MalformedPath, MalformedRequest, RequestTimeout
from crm_core.server import head
from crm_core.server.answer import raw_problem
from crm_core.server.cycle import Cycle, Outlet

_LINGER_BYTES: Final = 256 * 1024
_HOP_FIELDS: Final = (b"connection", b"upgrade")


class Deadlines(msgspec.Struct, frozen=True):
    """Seconds a client may take: for a head from its first byte, for a body, between requests, to hear an end."""

    head: float = 10.0
    body: float = 30.0
    idle: float = 75.0
    linger: float = 1.0


class _Phase(Enum):
    IDLE = "between messages"
    HEAD = "in a head"
    BODY = "in a body"


class ServerConnection(HttpToolsProtocol):
    """What uvicorn lacks: a refused or late request is told as a problem and ends the connection.

    A timer is armed only for a message that did not arrive whole in one piece, so the common request costs none.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        deadlines: Deadlines,
        new_request_id: Callable[[], str],
    ) -> None:
        super().__init__(config, server_state, app_state, asyncio.get_running_loop())
        self._deadlines = deadlines
        self._new_request_id = new_request_id
        self._phase = _Phase.IDLE
        self._deadline: asyncio.TimerHandle | None = None
        self._turns = 0  # heads and messages completed: what came without a turn belongs to one head or one body
        self._raw = 0
        self._body = 0
        self._refusal: CrmError | None = None
        self._upgrading = False
        self._running: Cycle | None = None
        self._ended = False

    # The transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Await a first request as long as a next one."""
        super().connection_made(transport)
        self._outlet = Outlet(transport, self._end)
        self.timeout_keep_alive_task = self.loop.call_later(self._deadlines.idle, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whatever runs for this client, and drop what waits."""
        self._ended = True
        self._disarm()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse what cannot be parsed in one way only."""
        if self._ended:
            self._pour_away(len(data))
            return
        self._unset_keepalive_if_required()
        turns = self._turns
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_without_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            self._refuse(self._refusal or _understood(error))
            return
        if not self._ended:
            self._watch(len(data) if turns == self._turns else 0)

    def shutdown(self) -> None:
        """Begin to drain: an idle connection closes, a busy one after its answer."""
        if not self._ended:
            super().shutdown()

    # The parser's calls

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._enter(_Phase.HEAD)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; trailers are dropped, or they would pass for header fields."""
        if self._phase is _Phase.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Judge the head and start the application."""
        self._turns += 1
        version, method = self.parser.get_http_version(), self.parser.get_method()
        self._refusal = head.refused(version, method, self.url, self.headers)
        if self._refusal is not None:
            raise self._refusal
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        self._enter(_Phase.BODY)
        self._fill_scope(version, method)
        cycle = self._new_cycle(keep_alive=version != "1.0" and self.parser.should_keep_alive())
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request's body."""
        if not self._upgrading:
            self._turns += 1
            self._enter(_Phase.IDLE)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, if the connection does."""
        if not self._ended:
            super().on_response_complete()

    # Inside

    def _fill_scope(self, version: str, method: bytes) -> None:
        address = httptools.parse_url(self.url)
        path = address.path.decode("ascii")
        self.scope["method"] = method.decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        self.scope["raw_path"] = address.path
        self.scope["query_string"] = address.query or b""

    def _new_cycle(self, *, keep_alive: bool) -> Cycle:
        cycle = Cycle(
            scope=self.scope,
            transport=self._outlet,  # type: ignore[arg-type]  # the part of a transport that a cycle uses
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.new_request_id = self._new_request_id
        return cycle

    def _start_asgi_task(self, cycle: Any, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _read_without_upgrade(self, rest: bytes) -> None:
        """Read the request anew as if no upgrade had been offered (RFC 9110, section 7.8 lets a server do so).

        Java's client offers h2c with every request, also with a body, which the parser takes for the new protocol.
        """
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [name + b": " + value for name, value in self.headers if name not in _HOP_FIELDS]
        options = b",".join(value for name, value in self.headers if name == b"connection").lower().split(b",")
        if b"close" in [option.strip() for option in options]:
            lines.append(b"connection: close")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._upgrading = False
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._raw = self._body = 0
        self._disarm()

    def _watch(self, received: int) -> None:
        """Hold an unfinished message to its size and its deadline."""
        self._raw += received
        if self._phase is _Phase.HEAD and self._raw > head.HEAD_LIMIT:
            self._refuse(HeadTooLarge(f"The request head is over {head.HEAD_LIMIT} bytes."))
            return
        if self._phase is _Phase.BODY and self._raw > head.HEAD_LIMIT + 8 * self._body:
            self._refuse(MalformedRequest("The body is nearly all framing: send it in larger chunks."))
            return
        busy = self._running is not None and not self._running.response_complete
        if self._deadline is None and not (busy and self._phase is _Phase.IDLE):
            self._arm()

    def _arm(self) -> None:
        seconds = self._deadlines.body if self._phase is _Phase.BODY else self._deadlines.head
        self._deadline = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self.flow.read_paused:  # it is the application that is slow, not the client
            self._arm()
            return
        part = "body" if self._phase is _Phase.BODY else "head"
        seconds = self._deadlines.body if self._phase is _Phase.BODY else self._deadlines.head
        self._refuse(RequestTimeout(f"The request's {part} was not complete within {seconds:g} seconds."))

    def _refuse(self, error: CrmError) -> None:
        """Tell the error and end the connection; an answer that is under way to an earlier request comes first."""
        running = self._running
        if running is not None and not running.response_complete:
            self._disarm()
            if self._phase is not _Phase.BODY or self.cycle is not running:
                self.pipeline.clear()
                self._ended_after(running)
                return
            running.disconnected = True
            running.message_event.set()
            if running.response_started:
                self._end()
                return
        self.transport.write(raw_problem(error, self._new_request_id(), self.server_state.default_headers))
        self._end(linger=True)

    def _ended_after(self, running: Cycle) -> None:
        """Read no more and close when the running answer is out."""
        running.keep_alive = False
        self.flow.pause_reading()
        self.cycle = running

    def _end(self, *, linger: bool = False) -> None:
        """Close; where the client may still be sending, let it read our last words before its bytes meet a reset."""
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        self._disarm()
        self._unset_keepalive_if_required()
        if self._phase is _Phase.IDLE and not linger:
            self.transport.close()
            return
        self._raw = 0
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(self._deadlines.linger, self.transport.close)

    def _pour_away(self, size: int) -> None:
        """Read on for a little; then let a client that still sends wait: a reset would take our last words from it."""
        self._raw += size
        if self._raw > _LINGER_BYTES:
            self.flow.pause_reading()


def _understood(error: httptools.HttpParserError) -> CrmError:
    if isinstance(error, httptools.HttpParserInvalidURLError):
        return MalformedPath("The request's address holds a byte that must be escaped.")
    if isinstance(error, httptools.HttpParserCallbackError):
        return MalformedRequest("The request's address cannot be read.")
    return MalformedRequest(f"This is not well-formed HTTP: {error}.")

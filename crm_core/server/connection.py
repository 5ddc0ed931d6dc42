"""One client's connection: uvicorn's httptools protocol with our deadlines, limits and error responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.server import ServerState

from crm_core.errors import CrmError, HeadTooLarge, MalformedRequest, RequestTimeout
from crm_core.server import head
from crm_core.server.cycle import Cycle, Outlet
from crm_core.server.limits import ConnectionLimit, Deadlines
from crm_core.server.problem import raw_response
from crm_core.server.unread import Unread

_LINGER_BYTES: Final = 256 * 1024
_PARSE_BYTES: Final = 8 * 1024  # some 100 short requests
_IDLE, _HEAD, _BODY = "between messages", "in a head", "in a body"
"""Phases of a connection: texts, since to look a member of an enum up takes as long as a call."""


class ServerConnection(Unread):
    """uvicorn's protocol, with a problem as the response to a refused or late request, after which it closes.

    A timer runs only for a message that did not arrive in one piece, so most requests need none.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        deadlines: Deadlines,
        limit: ConnectionLimit,
        new_request_id: Callable[[], str],
        instance: str | None,
    ) -> None:
        super().__init__(config, server_state, app_state, asyncio.get_running_loop())
        self._deadlines, self.unread_seconds = deadlines, deadlines.unread
        self._limit = limit
        self._new_request_id = new_request_id
        self._instance = instance
        self._phase = _IDLE
        self._deadline: asyncio.TimerHandle | None = None
        self._progress = 0  # completed heads and messages: bytes between two of them belong to one head or body
        self._raw = self._body = 0
        self._rest = b""  # pipelined requests that are not parsed yet
        self._refusal: CrmError | None = None
        self._upgrading = self._ended = False
        self._active: Cycle | None = None

    # The transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request as long as for any other."""
        super().connection_made(transport)
        self._outlet = Outlet(transport, self._end, self._again)
        self._limit.admit(self)
        if self._ended:
            return
        self.timeout_keep_alive_task = self.loop.call_later(self._deadlines.idle, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Notify the active request and drop the pipelined ones."""
        self._ended = True
        self._disarm()
        self._limit.remove(self)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        if self._active is not None and not self._active.response_complete:
            self._active.leave()
        del self._outlet  # part of a circle, which is never freed if the connection was open during a freeze
        self.cycle = self._active  # type: ignore[assignment]  # a pipelined one never runs

    def data_received(self, data: bytes) -> None:
        """Parse bytes, up to a request that waits for another one; refuse those that could be read in two ways."""
        if self._ended:
            self._discard(len(data))
            return
        self._unset_keepalive_if_required()
        progress, data = self._progress, self._rest + data
        try:
            parsed = self._feed(data)
        except httptools.HttpParserError as error:
            self.refuse(self._refusal or head.parser_refusal(error))
            return
        self._rest = data[parsed:]
        if not self._ended:
            self._check_progress(parsed if progress == self._progress else 0)

    def shutdown(self) -> None:
        """Start to drain: close an idle connection now, a busy one after its response."""
        if not self._ended:
            super().shutdown()

    def shed(self) -> None:
        """Close immediately, to make room for another connection."""
        self._ended = True
        self.transport.abort()

    # The parser's calls

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._enter(_HEAD)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header field; drop trailers, which must not count as header fields."""
        if self._phase is _HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head and start the application."""
        self._progress += 1
        version, method = self.parser.get_http_version(), self.parser.get_method()
        self._refusal = head.refusal(version, method, self.url, self.headers)
        if self._refusal is not None:
            raise self._refusal
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        self._enter(_BODY)
        self._limit.busy(self)
        self.scope.update(head.line_of(version, method, self.url))  # type: ignore[typeddict-item]  # only members of it
        self.expect_100_continue &= version != "1.0"  # RFC 9110, section 10.1.1
        cycle = self._new_cycle(keep_alive=version != "1.0" and self.parser.should_keep_alive())
        before, self.cycle = self.cycle, cycle
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body."""
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request's body."""
        if not self._upgrading:
            self._progress += 1
            self._enter(_IDLE)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Continue with the next request, unless the connection has ended."""
        if not self._ended:
            super().on_response_complete()
            if self._active is not None and self._active.response_complete:
                self._limit.idle(self)
            if (self.pipeline or self._rest) and not self.transport.is_closing():
                self.flow.pause_reading()
                if not self.pipeline:
                    self.loop.call_soon(self._parse_rest)

    # Inside

    def _parse_rest(self) -> None:
        self.flow.resume_reading()
        self.data_received(b"")

    def _new_cycle(self, *, keep_alive: bool) -> Cycle:
        cycle = Cycle(
            scope=self.scope,
            transport=self._outlet,  # type: ignore[arg-type]  # has the part of a transport that a cycle uses
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
        cycle.new_request_id, cycle.instance = self._new_request_id, self._instance
        return cycle

    def _start_asgi_task(self, cycle: Any, app: ASGI3Application) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    def _again(self) -> None:
        if self._active is not None:
            super()._start_asgi_task(self._active, self.app)

    def _feed(self, data: bytes) -> int:
        """Parse bytes; return how many. A request that offers an upgrade is parsed without it (RFC 9110, section 7.8).

        Java's client offers h2c with every request, also with a body, which the parser takes for the new protocol.
        """
        at = 0
        while at < len(data) and not self.pipeline:
            part = data[at : at + _PARSE_BYTES]  # not all: it is copied again after each request that offers one
            try:
                self.parser.feed_data(part)
                at += len(part)
            except httptools.HttpParserUpgrade as upgrade:
                at += upgrade.args[0]
                old, self.parser = self.parser, self._new_parser()
                self._upgrading = False
                self.parser.feed_data(
                    head.without_upgrade(old.get_http_version(), old.get_method(), self.url, self.headers)
                )
        return at

    def _new_parser(self) -> Any:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._raw = self._body = 0
        self._disarm()

    def _check_progress(self, received: int) -> None:
        """Enforce the size limit and the deadline of an incomplete message."""
        self._raw += received
        busy = self._active is not None and not self._active.response_complete
        if self._phase is _HEAD and self._raw > head.HEAD_LIMIT:
            self.refuse(HeadTooLarge(f"The request head is over {head.HEAD_LIMIT} bytes."))
        elif self._phase is _BODY and self._raw > head.HEAD_LIMIT + 8 * self._body:
            self.refuse(MalformedRequest("The body is nearly all framing. Send it in larger chunks."))
        elif self._deadline is None and not (busy and self._phase is _IDLE):
            self._arm()

    def _arm(self) -> None:
        seconds = self._deadlines.body if self._phase is _BODY else self._deadlines.head
        self._deadline = self.loop.call_later(seconds, self._on_deadline)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        if self.flow.read_paused:  # the application is slow, not the client
            self._arm()
            return
        part, seconds = ("body", self._deadlines.body) if self._phase is _BODY else ("head", self._deadlines.head)
        error = RequestTimeout(f"The request's {part} was not complete within {seconds:g} seconds.")
        if self._active is None or not self._active.expire(error):
            self.refuse(error)

    def refuse(self, error: CrmError) -> None:
        """Respond with the error and end the connection, after a response in progress to an earlier request."""
        self._rest = b""
        active = self._active
        if active is not None and not active.response_complete:
            self._disarm()
            if self._phase is not _BODY or self.cycle is not active:
                self.pipeline.clear()
                active.keep_alive = False  # it closes after its response
                self.flow.pause_reading()
                self.cycle = active
                return
            active.leave()
            if active.response_started:
                self._end()
                return
        first = self.server_state.default_headers
        self.transport.write(raw_response(error, self._new_request_id(), self._instance, first))
        self._end(linger=True)

    def _end(self, *, linger: bool = False) -> None:
        """Close; a client that may still be sending gets time to read the response before a reset discards it."""
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        self._disarm()
        self._unset_keepalive_if_required()
        self.await_reader()
        if self._phase is _IDLE and not linger:
            self.transport.close()
            return
        self._raw = 0
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(self._deadlines.linger, self.transport.close)

    def _discard(self, size: int) -> None:
        """Discard up to a limit, then stop reading: a reset would discard the response that the client has not read."""
        self._raw += size
        if self._raw > _LINGER_BYTES:
            self.flow.pause_reading()

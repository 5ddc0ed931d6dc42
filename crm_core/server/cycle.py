"""One request and its response: the differences from uvicorn's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from uvicorn._types import ASGI3Application, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from crm_core.errors import InternalError
from crm_core.server.problem import closing

log: Final = logging.getLogger("crm_core.server")
WHOLE: Final = "crm.whole"
"""The member of an ASGI scope that says whether the request's body was complete when the application started."""


class Outlet:
    """The part of a transport that a cycle uses; closing goes through the connection, which may linger.

    The head of a response waits for the first part of its body, so that most responses are one write.
    """

    __slots__ = ("_buffering", "_close", "_head", "_write", "is_closing")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._write = transport.write
        self._close = close
        self._head = b""
        self._buffering = False
        self.is_closing = transport.is_closing

    def buffer_head(self) -> None:
        """Hold the next write back until another follows."""
        self._buffering = True

    def write(self, data: bytes) -> None:
        """Write, after the buffered head."""
        if self._buffering:
            self._head, self._buffering = data, False
            return
        self._write(self._head + data if self._head else data)
        self._head = b""

    def flush(self) -> None:
        """Write the head if nothing followed it."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Write the head and close."""
        self.flush()
        self._close()


class Cycle(RequestResponseCycle):
    """uvicorn's cycle; failures become problems and are logged without a trace, an unread body ends the connection."""

    new_request_id: Callable[[], str]
    instance: str | None = None
    transport: Any  # an Outlet
    _close_delimited = False  # HTTP/1.0 has no chunks: a response of unknown length ends with its connection

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Run the application for this request and make sure that the response ends."""
        self.scope[WHOLE] = not self.more_body  # type: ignore[typeddict-unknown-key]  # ours
        try:
            await app(self.scope, self.receive, self.send)
            if not self.response_complete and not self.disconnected:
                log.error("the application returned without a complete answer")
                await self._fail()
        except asyncio.CancelledError:  # the drain's deadline has passed
            await self._fail()
        except Exception as error:  # noqa: BLE001  # the boundary: one request's failure is not the server's
            if not self.disconnected:
                log.error("the application failed: %s", type(error).__name__)  # noqa: TRY400  # no traces in logs
                await self._fail()
        finally:
            self.on_response = lambda: None

    async def send(self, message: ASGISendEvent) -> None:
        """Send an ASGI message; a response that starts before the body's end announces that the connection closes."""
        if not self.response_started and self.more_body:
            self.keep_alive = False
        if message["type"] == "http.response.start":
            self.transport.buffer_head()
            if self.scope["http_version"] == "1.0" and not _has_length(message):
                self.chunked_encoding, self._close_delimited = False, True
            await super().send(message)
            return
        if self._close_delimited and message["type"] == "http.response.body":
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
        self.transport.flush()

    async def _fail(self) -> None:
        if self.response_started:
            self.transport.close()
            return
        headers, body = closing(InternalError(), self.new_request_id(), self.instance)
        start: Any = {"type": "http.response.start", "status": InternalError.status, "headers": headers}
        end: Any = {"type": "http.response.body", "body": body, "more_body": False}
        await self.send(start)
        await self.send(end)


def _has_length(start: Any) -> bool:
    return any(name.lower() == b"content-length" for name, _ in start.get("headers", ()))

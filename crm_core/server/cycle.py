"""One request and its answer: what differs from uvicorn's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from uvicorn._types import ASGI3Application, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from crm_core.errors import InternalError
from crm_core.server.answer import problem

log: Final = logging.getLogger("crm_core.server")
WHOLE: Final = "crm.whole"
"""The member of an ASGI scope that says whether the request's body was there when the application began."""


class Outlet:
    """The part of a transport that a cycle uses; to close it goes through the connection, which may linger.

    The head of an answer waits for the first part of its body, so that the common answer is one write.
    """

    __slots__ = ("_close", "_head", "_holds", "_write", "is_closing")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._write = transport.write
        self._close = close
        self._head = b""
        self._holds = False
        self.is_closing = transport.is_closing

    def hold(self) -> None:
        """Keep what is written next until something follows it."""
        self._holds = True

    def write(self, data: bytes) -> None:
        """Write, behind what was kept."""
        if self._holds:
            self._head, self._holds = data, False
            return
        self._write(self._head + data if self._head else data)
        self._head = b""

    def flush(self) -> None:
        """Write what was kept, where nothing followed it."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Write what was kept and close."""
        self.flush()
        self._close()


class Cycle(RequestResponseCycle):
    """uvicorn's cycle; failures are told as problems and logged without a trace, an unread body ends the connection."""

    new_request_id: Callable[[], str]
    transport: Any  # an Outlet
    _ends_by_close = False  # HTTP/1.0 knows no chunks: an answer of unknown length ends with its connection

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Run the application for this request and make sure that the client gets an end."""
        self.scope[WHOLE] = not self.more_body  # type: ignore[typeddict-unknown-key]  # ours
        try:
            await app(self.scope, self.receive, self.send)
            if not self.response_complete and not self.disconnected:
                log.error("the application returned without a complete answer")
                await self._give_up()
        except asyncio.CancelledError:  # the drain's time is over
            await self._give_up()
        except Exception as error:  # noqa: BLE001  # the boundary: one request's failure is not the server's
            if not self.disconnected:
                log.error("the application failed: %s", type(error).__name__)  # noqa: TRY400  # no traces in logs
                await self._give_up()
        finally:
            self.on_response = lambda: None

    async def send(self, message: ASGISendEvent) -> None:
        """As ASGI says; an answer that starts before the body's end announces that the connection closes."""
        if not self.response_started and self.more_body:
            self.keep_alive = False
        if message["type"] == "http.response.start":
            self.transport.hold()
            if self.scope["http_version"] == "1.0" and not _has_length(message):
                self.chunked_encoding, self._ends_by_close = False, True
            await super().send(message)
            return
        if self._ends_by_close and message["type"] == "http.response.body":
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
        self.transport.flush()

    async def _give_up(self) -> None:
        if self.response_started:
            self.transport.close()
            return
        headers, body = problem(InternalError(), self.new_request_id())
        start: Any = {"type": "http.response.start", "status": InternalError.status, "headers": headers}
        end: Any = {"type": "http.response.body", "body": body, "more_body": False}
        await self.send(start)
        await self.send(end)


def _has_length(start: Any) -> bool:
    return any(name.lower() == b"content-length" for name, _ in start.get("headers", ()))

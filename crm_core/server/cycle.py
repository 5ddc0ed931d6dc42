"""One request and its response: uvicorn's cycle with our differences."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from crm_core.errors import CrmError, InternalError
from crm_core.server.problem import closing

log: Final = logging.getLogger("crm_core.server")
WHOLE: Final = "crm.whole"
"""The member of an ASGI scope with the request's body; None if it was not complete when the application started."""

RESPONSE: Final = "crm.response"
"""The type of a message that contains all of a response, and the name of the ASGI extension that accepts it."""

LATER: Final = "crm.later"
"""The type of a message after which the application may return: it is called again for this request, to continue.

``then`` receives the function that calls it, ``left`` is called once the client has left. Also an ASGI extension.
"""
EXPIRED: Final = "crm.expired"
"""The member of a message ``http.disconnect`` with the refusal of a body that came too late: the client waits for it.

If the application does not respond, the server does.
"""
_EXTENSIONS: Final = {RESPONSE: {}, LATER: {}}  # type: ignore[var-annotated]  # no extension has a value

# Characters that header fields may not contain, as uvicorn has them.
_NOT_IN_NAMES: Final = bytes(range(0x21)) + b'()<>@,;:\\[]={}"\x7f'
_NOT_IN_VALUES: Final = bytes([*range(9), *range(10, 0x20), 0x7F])


class Outlet:
    """The part of a transport that a cycle uses; closing goes through the connection, which may linger.

    The head of a response waits for the first part of its body, so that most responses are one write.
    """

    __slots__ = ("_buffering", "_close", "_head", "_write", "again", "is_closing")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None], again: Callable[[], None]) -> None:
        self._write = transport.write
        self._close = close
        self.again = again
        self._head = b""
        self._buffering = False
        self.is_closing = transport.is_closing

    def buffer_head(self) -> None:
        """Delay the next write until another follows."""
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
    expired: CrmError | None = None
    left: Callable[[], object] | None = None  # the application returned and will be called again, or should this be
    _close_delimited = False  # HTTP/1.0 has no chunks: a response of unknown length ends with its connection

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Run the application for this request and make sure that the response ends."""
        scope: Any = self.scope
        self.left = None
        scope[WHOLE], scope["extensions"] = None if self.more_body else bytes(self.body), _EXTENSIONS
        try:
            await app(self.scope, self.receive, self.send)
            if not self.response_complete and not self.disconnected and self.left is None:
                if self.expired is None:
                    log.error("the application returned without a complete answer")
                await self._fail()
        except asyncio.CancelledError:  # the drain's deadline has passed
            await self._fail()
        except Exception as error:  # noqa: BLE001  # the boundary: one request's failure is not the server's
            if not self.disconnected:
                log.error("the application failed: %s", type(error).__name__)  # noqa: TRY400  # no traces in logs
                await self._fail()
        finally:
            if self.left is None:
                self.on_response, self.transport = lambda: None, None  # they refer to the connection

    def leave(self) -> None:
        """Notify the application that the client has left."""
        self.disconnected = True
        self.message_event.set()
        if self.left is not None:
            self.left()

    def expire(self, error: CrmError) -> bool:
        """Have the application refuse the request for its late body; False if it waits for none, or has responded."""
        if not self.more_body or self.response_started or self.left is not None:
            return False
        self.expired = error
        self.message_event.set()
        return True

    async def receive(self) -> Any:
        """Receive an ASGI message: a part of the body, or that no more will come."""
        message = await super().receive()
        if self.expired is None or self.response_started:
            return message
        return {"type": "http.disconnect", EXPIRED: self.expired}

    async def send(self, message: Any) -> None:
        """Send an ASGI message; a response that starts before the body's end announces that the connection closes."""
        if message["type"] == RESPONSE:
            await self._send_response(message)
            return
        if message["type"] == LATER:
            self.left = message["left"]
            message["then"](self.transport.again)
            if self.disconnected:
                self.left()
            return
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

    async def _send_response(self, response: Any) -> None:
        """Send a whole response, in one step if neither it nor its connection is unusual."""
        status, headers, body = response["status"], response["headers"], response["body"]
        fields = [*self.default_headers, *headers]
        names, values = zip(*fields, strict=True)
        lasting = self.keep_alive and self.scope["http_version"] == "1.1" and b"connection" not in names
        ready = not (self.response_started or self.more_body or self.disconnected or self.flow.write_paused)
        sized = b"content-length" in names or (status == HTTPStatus.NOT_MODIFIED and not body)
        if not (lasting and ready and sized) or self.scope["method"] == "HEAD":
            start: Any = {"type": "http.response.start", "status": status, "headers": headers}
            await self.send(start)
            await self.send({"type": "http.response.body", "body": body, "more_body": False})
            return
        if _contains(b"".join(names), _NOT_IN_NAMES) or _contains(b"".join(values), _NOT_IN_VALUES):
            raise RuntimeError("a header field contains a character that it may not contain")
        lines = b"\r\n".join(map(b": ".join, fields))
        self.transport.write(b"".join((STATUS_LINE[status], lines, b"\r\n\r\n", body)))
        self.response_started = self.response_complete = True
        self.message_event.set()
        self.on_response()

    async def _fail(self) -> None:
        if self.response_started:
            self.transport.close()
            return
        error = self.expired or InternalError()
        headers, body = closing(error, self.new_request_id(), self.instance)
        start: Any = {"type": "http.response.start", "status": error.status, "headers": headers}
        end: Any = {"type": "http.response.body", "body": body, "more_body": False}
        await self.send(start)
        await self.send(end)


def _contains(text: bytes, unwanted: bytes) -> bool:
    return text.translate(None, unwanted) != text  # a third of the time of a regular expression


def _has_length(start: Any) -> bool:
    return any(name.lower() == b"content-length" for name, _ in start.get("headers", ()))

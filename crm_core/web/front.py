"""The outermost part of the application: gives each request its id and source, and hands it to who answers it.

Requests for the API go to the dispatcher without the framework in between, all others to the framework.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from crm_core.model.sources import Network
from crm_core.server.cycle import RESPONSE
from crm_core.web.dispatcher import Dispatcher
from crm_core.web.request import SCOPE_KEY, Chunks, Request, request_of
from crm_core.web.sending import write

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
_STARTING: Final = ("http.response.start", RESPONSE)  # the messages with status and header fields
_SAFETY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)


class ClientLeft(asyncio.CancelledError):
    """The client closed its connection before its request was complete, which ends the request."""


class Front:
    """ASGI middleware around the framework. ``count`` receives method, status and seconds of every answer."""

    def __init__(
        self,
        framework: Asgi,
        dispatcher: Dispatcher,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[datetime], str],
        instance: str,
        proxies: tuple[Network, ...],
        count: Callable[[str, int, float], None],
    ) -> None:
        self._framework = framework
        self._dispatcher = dispatcher
        self._count = count
        self._now = now
        self._new_id = new_id
        self._instance = instance
        self._proxies = proxies

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request; everything else (lifespan) passes through."""
        if scope["type"] != "http":
            await self._framework(scope, receive, send)
            return
        started, now = time.perf_counter(), self._now()
        request = request_of(
            scope,
            _chunks(receive),
            received_at=now,
            request_id=self._new_id(now),
            instance=self._instance,
            proxies=self._proxies,
        )
        ours = ((b"x-request-id", request.request_id.encode()), *_SAFETY)

        async def send_with_id(message: Any) -> None:
            if message["type"] in _STARTING:
                message = {**message, "headers": [*message["headers"], *ours]}
                self._count(request.method, message["status"], time.perf_counter() - started)
            await send(message)

        if self.answers(request):
            try:
                in_one = RESPONSE in scope.get("extensions", ())
                await write(await self._dispatcher(request), receive, send_with_id, in_one=in_one)
            except ClientLeft:
                return
        else:
            scope[SCOPE_KEY] = request
            await self._framework(scope, receive, send_with_id)

    def answers(self, request: Request) -> bool:
        """Whether the dispatcher answers a request without the framework, which would call it just the same."""
        return self._dispatcher.serves(request)


def _chunks(receive: Any) -> Chunks:
    async def chunks() -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            more = message.get("more_body", False)
            yield message.get("body", b"")

    return chunks

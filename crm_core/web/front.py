"""The outermost part of the application: gives each request its id and source, and passes it on to be answered.

Requests for the API go to the dispatcher, all others to the pages, which load when the server has started.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from crm_core.access.feeds import Feeds
from crm_core.access.streams import Stream
from crm_core.model.sources import Network
from crm_core.server.asgi import Asgi, Message, Receive, Scope, Send
from crm_core.server.cycle import EXPIRED, LATER, RESPONSE
from crm_core.web.answers import Answer, Later
from crm_core.web.dispatcher import Dispatcher
from crm_core.web.loaded_later import LoadedLater
from crm_core.web.request import SCOPE_KEY, Chunks, Request, request_of
from crm_core.web.sending import write

if TYPE_CHECKING:
    from crm_core.web.api.mail import Sender
    from crm_core.workspace import Workspace

_STARTING: Final = ("http.response.start", RESPONSE)  # the messages with status and header fields
_AFTER_START: Final = 5.0  # seconds: requests that waited for the server come first
_AGAIN: Final = "crm.again"  # the member of a scope with what is left of a request that waits, or its open stream
_SAFETY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)


class Pages(msgspec.Struct, frozen=True):
    """The pages of an instance. ``sender_of``: the sender of emails in the brand of a workspace.

    ``framework``: all of the application, pages and API, as one of the framework.
    """

    answer: Callable[[Request], Awaitable[Answer]]
    framework: Asgi
    sender_of: Callable[[Workspace], Awaitable[Sender]]


class ClientLeft(asyncio.CancelledError):
    """The client closed its connection before its request was complete, which ends the request."""


class Front:
    """The ASGI application of an instance. ``count`` receives method, status and seconds of every answer."""

    def __init__(
        self,
        pages: LoadedLater[Pages],
        dispatcher: Dispatcher,
        feeds: Feeds,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[datetime], str],
        instance: str,
        proxies: tuple[Network, ...],
        count: Callable[[str, int, float], None],
    ) -> None:
        self._pages = pages
        self._dispatcher = dispatcher
        self._feeds = feeds
        self._count = count
        self._now = now
        self._new_id = new_id
        self._instance = instance
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        again = scope.pop(_AGAIN, None)
        if isinstance(again, Stream):
            await self._follow(again, scope, send)
            return
        if again is None:
            started, now = time.perf_counter(), self._now()
            request_id, waiter = self._new_id(now), None
        else:
            started, now, request_id, waiter = again
        request = request_of(
            scope,
            _chunks(receive),
            received_at=now,
            request_id=request_id,
            instance=self._instance,
            proxies=self._proxies,
            waiter=waiter,
        )
        ours = ((b"x-request-id", request.request_id.encode()), *_SAFETY)
        if self.answers(request):
            extensions = scope.get("extensions", ())
            try:
                if not self._dispatcher.serves(request):
                    answer = await (await self._pages.get()).answer(request)
                elif LATER not in extensions:
                    answer = await self._dispatcher.settled(request)
                else:
                    found = await self._dispatcher(request)
                    if isinstance(found, Later):
                        scope[_AGAIN] = started, now, request_id, found.waiter
                        await send({"type": LATER, "then": found.waiter.call, "left": found.waiter.end})
                        return
                    answer = found
                self._count(request.method, answer.status, time.perf_counter() - started)
                answer = Answer(answer.status, [*answer.headers, *ours], answer.body)
                await write(answer, receive, send, in_one=RESPONSE in extensions)
                if isinstance(answer.body, Stream):
                    await self._follow(answer.body, scope, send)
            except ClientLeft:
                return
        else:

            async def send_with_id(message: Message) -> None:
                if message["type"] in _STARTING:
                    message = {**message, "headers": [*message["headers"], *ours]}
                    self._count(request.method, message["status"], time.perf_counter() - started)
                await send(message)

            scope[SCOPE_KEY] = request
            pages = await self._pages.get()
            await pages.framework(scope, receive, send_with_id)

    async def _follow(self, stream: Stream, scope: Scope, send: Send) -> None:
        """Send the next part of an event stream; the server calls again when there is another."""
        try:
            part = await self._feeds.part(stream)
            await send({"type": "http.response.body", "body": part or b"", "more_body": part is not None})
        except BaseException:
            self._feeds.leave(stream)
            raise
        if part is not None:
            scope[_AGAIN] = stream
            await send({"type": LATER, "then": stream.call, "left": stream.end})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Load the pages a while after the start; for the time in which the server runs."""
        later = asyncio.get_running_loop().call_later(_AFTER_START, self._pages.begin)
        try:
            yield
        finally:
            later.cancel()

    def answers(self, _request: Request) -> bool:
        """Whether a request is answered here; the framework would give the same answer, and cost more."""
        return True


def _chunks(receive: Receive) -> Chunks:
    async def chunks() -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise message.get(EXPIRED) or ClientLeft
            more = message.get("more_body", False)
            yield message.get("body", b"")

    return chunks

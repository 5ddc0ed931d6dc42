"""Forwards a request to an upstream, and its response back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from multidict import CIMultiDict

from crm_core.errors import CrmError, InstanceTimeout, InstanceUnavailable
from crm_core.manager import fields
from crm_core.manager.client import Downstream
from crm_core.manager.limits import RETRY_SECONDS, Timeouts
from crm_core.manager.upstream import Upstream, log, reason_of
from crm_core.server.asgi import Send

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1
_EVENTS: Final = b"text/event-stream"
_UNREACHED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass(frozen=True, slots=True)
class RelayedRequest:
    """A request as it goes to an upstream."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes | AsyncIterator[bytes] | None = field(repr=False)

    @property
    def repeatable(self) -> bool:
        """Whether it may go to another upstream after one may have received it."""
        return self.method in _SAFE and self.body is None


class Relay:
    """Forwards requests. ``stop`` ends what may take long and can be requested again: event streams, and waits."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._streams: set[asyncio.Task[object]] = set()
        self._waits: set[asyncio.Timeout] = set()  # of requests that can be repeated
        self._ending = False

    def stop(self) -> None:
        """End all event streams now, and soon the requests that wait at an instance, present and future ones."""
        self._ending = True
        for task in self._streams:
            task.cancel()
        for wait in self._waits:
            if not wait.expired():
                wait.reschedule(asyncio.get_running_loop().time() + self._timeouts.last)

    async def forward(
        self, request: RelayedRequest, upstreams: Iterable[Upstream], client: Downstream, send: Send
    ) -> None:
        """Forward a request to the first upstream that accepts it.

        The next one is tried if nothing of the request can have reached the one before, or if repeating it is safe.

        Raises InstanceUnavailable, InstanceTimeout.
        """
        refusal: CrmError | None = None
        for upstream in upstreams:
            if not upstream.open:
                continue
            with upstream:
                try:
                    answer = await self._ask(upstream, request)
                except _TryNext as attempt:
                    refusal = attempt.error
                    continue
                try:
                    await self._return(answer, upstream, client, send)
                finally:
                    answer.close()
                return
        raise refusal or InstanceUnavailable(
            "No upstream of this instance accepts requests now: all are drained or have too many. Try again.",
            retry_after=RETRY_SECONDS,
        )

    async def _ask(self, upstream: Upstream, request: RelayedRequest) -> aiohttp.ClientResponse:
        """Return the response once its head is complete.

        Raises _TryNext if another upstream may be tried, else CrmError.
        """
        try:
            async with self._answer_timeout(request):
                answer = await upstream.request(
                    request.method, request.target, headers=request.headers, data=request.body
                )
        except _UNREACHED as error:
            upstream.record_failure(reason_of(error))
            raise _TryNext(_unavailable("The instance cannot be reached.")) from error
        except TimeoutError:
            if self._ending and request.repeatable:
                raise _unavailable("The manager stops. Send the request again.") from None
            upstream.record_failure(f"{request.method} had no answer within {self._timeouts.answer:g} s", down=False)
            raise InstanceTimeout(f"The instance did not answer within {self._timeouts.answer:g} seconds.") from None
        except (aiohttp.ClientError, OSError) as error:
            upstream.record_failure(reason_of(error), down=False)
            unknown = _unavailable(
                "The instance closed the connection before it answered. It may have carried out the request."
            )
            raise _TryNext(unknown) if request.repeatable else unknown from error
        upstream.mark_up()
        return answer

    @asynccontextmanager
    async def _answer_timeout(self, request: RelayedRequest) -> AsyncIterator[None]:
        seconds = self._timeouts.last if self._ending and request.repeatable else self._timeouts.answer
        async with asyncio.timeout(seconds) as wait:
            if request.repeatable:
                self._waits.add(wait)
            try:
                yield
            finally:
                self._waits.discard(wait)

    async def _return(self, answer: aiohttp.ClientResponse, upstream: Upstream, client: Downstream, send: Send) -> None:
        headers = fields.client_headers(answer.status, answer.raw_headers)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if (fields.value_of(headers, b"content-type") or b"").startswith(_EVENTS):
            await self._stream(answer, upstream, client, send)
        else:
            await self._pass(answer, upstream, send)

    async def _stream(self, answer: aiohttp.ClientResponse, upstream: Upstream, client: Downstream, send: Send) -> None:
        """Pass events, which may be rare; ``stop`` ends the body like the instance's own end would."""
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        upstream.streams += 1
        try:
            if not self._ending:
                await self._pass(answer, upstream, send, rare=True)
                return
        except asyncio.CancelledError:
            if client.disconnected or not self._ending:
                raise
        finally:
            self._streams.discard(task)
            upstream.streams -= 1
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pass(
        self, answer: aiohttp.ClientResponse, upstream: Upstream, send: Send, *, rare: bool = False
    ) -> None:
        """Pass the body's parts, however ``rare`` while the upstream is up; if it breaks off, so does the client's."""
        content = answer.content
        waits = ended = False  # the first part may be empty: the head is sent with it, without waiting for more
        while not ended:
            try:
                part = await self._part(content) if waits else content.read_nowait()
            except TimeoutError as error:
                if rare and upstream.state != "down" and not upstream.retired.is_set() and _connected(answer):
                    continue
                _cut_off(upstream, error)
                return
            except (aiohttp.ClientError, OSError) as error:
                _cut_off(upstream, error)
                return
            waits, ended = True, content.at_eof()
            await send({"type": "http.response.body", "body": part, "more_body": not ended})

    async def _part(self, content: aiohttp.StreamReader) -> bytes:
        async with asyncio.timeout(self._timeouts.part):
            return await content.readany()


def _connected(answer: aiohttp.ClientResponse) -> bool:
    """Whether more may come: aiohttp does not wake the reader if it closed the connection over a malformed chunk."""
    connection = answer.connection
    return connection is not None and connection.protocol is not None and connection.protocol.is_connected()


def _cut_off(upstream: Upstream, error: Exception) -> None:
    what = f"an answer broke off: {reason_of(error)}"
    upstream.record_failure(what, down=False)
    log.warning("answer_cut_off", upstream=str(upstream.address), error=what)


class _TryNext(Exception):
    """Another upstream may be tried; ``error`` is the response if none accepts the request."""

    def __init__(self, error: CrmError) -> None:
        self.error = error


def _unavailable(detail: str) -> InstanceUnavailable:
    return InstanceUnavailable(detail, retry_after=RETRY_SECONDS)

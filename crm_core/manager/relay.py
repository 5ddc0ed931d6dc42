"""One request carried to an upstream, and its answer carried back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from multidict import CIMultiDict

from crm_core.errors import CrmError, InstanceTimeout, InstanceUnavailable
from crm_core.manager import fields
from crm_core.manager.client import Downstream
from crm_core.manager.limits import RETRY_SECONDS, Patience
from crm_core.manager.upstream import Upstream, log, reason_of

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1
_EVENTS: Final = b"text/event-stream"
_UNREACHED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


@dataclass(frozen=True, slots=True)
class RelayedRequest:
    """What goes to an upstream."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes | AsyncIterator[bytes] | None = field(repr=False)

    @property
    def repeatable(self) -> bool:
        """Whether it may go to another upstream although one may have had it."""
        return self.method in _SAFE and self.body is None


class Relay:
    """Carries requests. Event streams are let go at ``end_streams``: their clients come again by themselves."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._streams: set[asyncio.Task[Any]] = set()
        self._ending = False

    def end_streams(self) -> None:
        """Finish all event streams, now and from now on."""
        self._ending = True
        for task in self._streams:
            task.cancel()

    async def carry(
        self, request: RelayedRequest, upstreams: Iterable[Upstream], client: Downstream, send: Any
    ) -> None:
        """Carry a request to the first upstream that takes it. Raises InstanceUnavailable or InstanceTimeout.

        The next upstream is tried where nothing of the request can have reached the one before, or where it is safe.
        """
        refusal: CrmError | None = None
        for upstream in upstreams:
            if not upstream.open:
                continue
            with upstream:
                try:
                    answer = await self._ask(upstream, request)
                except _Passed as passed:
                    refusal = passed.error
                    continue
                try:
                    await self._return(answer, upstream, client, send)
                finally:
                    answer.close()
                return
        raise refusal or InstanceUnavailable(
            "No process of this instance takes requests now: they are drained, or have too many.",
            retry_after=RETRY_SECONDS,
        )

    async def _ask(self, upstream: Upstream, request: RelayedRequest) -> aiohttp.ClientResponse:
        """The answer, its head complete. Raises _Passed where another upstream may be tried, else CrmError."""
        try:
            async with asyncio.timeout(self._patience.answer):
                answer = await upstream.ask(request.method, request.target, headers=request.headers, data=request.body)
        except _UNREACHED as error:
            upstream.fails(reason_of(error))
            raise _Passed(_unavailable("The instance cannot be reached.")) from error
        except TimeoutError:
            upstream.fails(f"{request.method} had no answer within {self._patience.answer:g} s", down=False)
            raise InstanceTimeout(f"The instance did not answer within {self._patience.answer:g} seconds.") from None
        except (aiohttp.ClientError, OSError) as error:
            upstream.fails(reason_of(error), down=False)
            told = _unavailable(
                "The instance closed the connection before it answered; whether it did what was asked is not known."
            )
            raise _Passed(told) if request.repeatable else told from error
        upstream.works()
        return answer

    async def _return(self, answer: aiohttp.ClientResponse, upstream: Upstream, client: Downstream, send: Any) -> None:
        headers = fields.of_answer(answer.status, answer.raw_headers)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if (fields.value_of(headers, b"content-type") or b"").startswith(_EVENTS):
            await self._stream(answer, upstream, client, send)
        else:
            await self._pass(answer, upstream, send)

    async def _stream(self, answer: aiohttp.ClientResponse, upstream: Upstream, client: Downstream, send: Any) -> None:
        """Carry events, which may be rare; an end by ``end_streams`` is told as the stream's."""
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            if not self._ending:
                await self._pass(answer, upstream, send, rare=True)
                return
        except asyncio.CancelledError:
            if client.left or not self._ending:
                raise
        finally:
            self._streams.discard(task)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pass(self, answer: aiohttp.ClientResponse, upstream: Upstream, send: Any, *, rare: bool = False) -> None:
        """Hand on the body's parts, ``rare`` ones too; where it breaks off, so does what the client gets."""
        content = answer.content
        waits = ended = False  # what is at hand goes first, if only nothing: the head waits for it
        while not ended:
            try:
                part = await self._part(content) if waits else content.read_nowait()
            except TimeoutError as error:
                if rare and _connected(answer):
                    continue
                _cut_off(upstream, error)
                return
            except (aiohttp.ClientError, OSError) as error:
                _cut_off(upstream, error)
                return
            waits, ended = True, content.at_eof()
            await send({"type": "http.response.body", "body": part, "more_body": not ended})

    async def _part(self, content: aiohttp.StreamReader) -> bytes:
        async with asyncio.timeout(self._patience.part):
            return await content.readany()


def _connected(answer: aiohttp.ClientResponse) -> bool:
    """Whether more may come; aiohttp does not wake a reader whose connection it closed over a malformed chunk."""
    connection = answer.connection
    return connection is not None and connection.protocol is not None and connection.protocol.is_connected()


def _cut_off(upstream: Upstream, error: Exception) -> None:
    what = f"an answer broke off: {reason_of(error)}"
    upstream.fails(what, down=False)
    log.warning("answer_cut_off", upstream=str(upstream.address), error=what)


class _Passed(Exception):
    """This upstream had nothing of the request, or may have it again; ``error`` is for when no other takes it."""

    def __init__(self, error: CrmError) -> None:
        self.error = error


def _unavailable(detail: str) -> InstanceUnavailable:
    return InstanceUnavailable(detail, retry_after=RETRY_SECONDS)

"""The clients, which drive the exchange over httpx: blocking, and on an event loop."""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from crm_core.client.answers import Answer, Health, Outcome
from crm_core.client.exchange import Lost, Pause, Platform, ReadyRequest, Retries, Steps, Strategy
from crm_core.client.signing import Signer
from crm_core.client.target import Target

T = TypeVar("T")
TIMEOUT = httpx.Timeout(40.0, connect=10.0)  # a receiver takes up to 30 s for a slow body
LONGEST = 120.0  # seconds for a whole answer: bytes that drip in meet every time-out
LARGEST = 32 << 20  # bytes of an answer


def fresh_nonce() -> str:
    """192 random bits, in characters that every scheme accepts."""
    return secrets.token_urlsafe(24)


DEFAULT_RETRIES = Retries()


def quiet(*_: object) -> None:
    """Report nothing."""


def platform_of(target: Target, signer: Signer, retries: Retries) -> Platform:
    """The exchange with this machine's clock and fresh nonces."""
    return Platform(target=target, signer=signer, clock=time.time, nonce=fresh_nonce, retries=retries)


class Client:
    """Pushes to one tenant.

    ``transport``: another way to connect, such as ``httpx.HTTPTransport(uds=path)``; ``watch`` receives each pause.
    """

    def __init__(
        self,
        target: Target,
        signer: Signer,
        *,
        transport: httpx.BaseTransport | None = None,
        retries: Retries = DEFAULT_RETRIES,
        watch: Callable[[Pause], None] = quiet,
    ) -> None:
        self.platform, self._watch = platform_of(target, signer, retries), watch
        self._http = httpx.Client(transport=transport, timeout=TIMEOUT)

    def push(
        self, payload_type: str, data: Mapping[str, Any], *, version: int | None = None, strategy: Strategy = "replace"
    ) -> Outcome:
        """Push a payload; see ``Platform.push``. Raises ClientError, ValueError."""
        return self._run(self.platform.push(payload_type, data, version=version, strategy=strategy))

    def preview(
        self, payload_type: str, data: Mapping[str, Any], *, version: int | None = None, strategy: Strategy = "replace"
    ) -> Outcome:
        """Show what a push would change. Raises ClientError, ValueError."""
        return self._run(self.platform.push(payload_type, data, version=version, strategy=strategy, preview=True))

    def health(self) -> Health:
        """The tenant's sync health. Raises ClientError."""
        return self._run(self.platform.health())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self, steps: Steps[T]) -> T:
        return drive(self._http, steps, self._watch)


def drive(http: httpx.Client, steps: Steps[T], watch: Callable[[Pause], None]) -> T:
    """Send the requests that the steps yield, sleep through their pauses, and return their value."""
    answer: Answer | Lost | None = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as done:
            value: T = done.value
            return value
        if isinstance(step, Pause):
            watch(step)
            time.sleep(step.seconds)
            answer = None
        else:
            answer = _sent(http, step)


def _sent(http: httpx.Client, step: ReadyRequest) -> Answer | Lost:
    body = _LimitedBody()
    try:
        with http.stream(step.method, step.url, headers=_headers(step), content=step.body) as response:
            for part in response.iter_bytes():
                body.add(part)
            return _answer(response, body)
    except httpx.TransportError as error:
        return _lost(error)
    except _LimitExceeded as error:
        return Lost(str(error), final=True)


class AsyncClient:
    """``Client`` on an event loop."""

    def __init__(
        self,
        target: Target,
        signer: Signer,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        retries: Retries = DEFAULT_RETRIES,
        watch: Callable[[Pause], None] = quiet,
    ) -> None:
        self.platform, self._watch = platform_of(target, signer, retries), watch
        self._http = httpx.AsyncClient(transport=transport, timeout=TIMEOUT)

    async def push(
        self, payload_type: str, data: Mapping[str, Any], *, version: int | None = None, strategy: Strategy = "replace"
    ) -> Outcome:
        """Push a payload; see ``Platform.push``. Raises ClientError, ValueError."""
        return await self._run(self.platform.push(payload_type, data, version=version, strategy=strategy))

    async def preview(
        self, payload_type: str, data: Mapping[str, Any], *, version: int | None = None, strategy: Strategy = "replace"
    ) -> Outcome:
        """Show what a push would change. Raises ClientError, ValueError."""
        steps = self.platform.push(payload_type, data, version=version, strategy=strategy, preview=True)
        return await self._run(steps)

    async def health(self) -> Health:
        """The tenant's sync health. Raises ClientError."""
        return await self._run(self.platform.health())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, steps: Steps[T]) -> T:
        answer: Answer | Lost | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                value: T = done.value
                return value
            if isinstance(step, Pause):
                self._watch(step)
                await asyncio.sleep(step.seconds)
                answer = None
            else:
                answer = await self._send(step)

    async def _send(self, step: ReadyRequest) -> Answer | Lost:
        body = _LimitedBody()
        try:
            async with self._http.stream(step.method, step.url, headers=_headers(step), content=step.body) as response:
                async for part in response.aiter_bytes():
                    body.add(part)
                return _answer(response, body)
        except httpx.TransportError as error:
            return _lost(error)
        except _LimitExceeded as error:
            return Lost(str(error), final=True)


class _LimitExceeded(Exception):
    """An answer that no receiver sends: too long in time or size."""


class _LimitedBody:
    """The parts of an answer, within limits."""

    def __init__(self) -> None:
        self._parts, self._size, self._end = list[bytes](), 0, time.monotonic() + LONGEST

    def add(self, part: bytes) -> None:
        """Add a part. Raises _LimitExceeded."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > LARGEST:
            raise _LimitExceeded(f"the answer is larger than {LARGEST >> 20} MiB; check the address")
        if time.monotonic() > self._end:
            raise _LimitExceeded(f"the answer was not complete after {LONGEST:g} s; check the address")

    def joined(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)


def _headers(step: ReadyRequest) -> dict[str, str]:
    return {"accept": "application/json", "accept-encoding": "identity", **step.headers}


def _answer(response: httpx.Response, body: _LimitedBody) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, body.joined())


def _lost(error: httpx.TransportError) -> Lost:
    """A failed connection; an untrusted certificate is final, since a retry cannot make it trusted."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    final = cause is not None or isinstance(error, httpx.UnsupportedProtocol)
    return Lost(f"no answer ({str(error) or type(error).__name__})", final=final)

"""Delivers emails through a tenant's server, a few at a time, and reports each step."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from email.message import EmailMessage
from typing import Final

from crm_core.mail.errors import DeliveryError
from crm_core.mail.resolve import connected, endpoints
from crm_core.mail.server import MailServer, Step

_CONNECTIONS: Final = 8
_PENDING: Final = 32  # with those that wait for a connection
_RETRIES: Final = 100  # emails that wait to be sent again
RETRY_AFTER: Final = (60.0, 300.0, 900.0)
"""Seconds before each further attempt: servers that delay the first email of a sender accept it within minutes."""


class Mailer:
    """Delivers messages over a limited number of connections.

    Args:
        allow_inside: whether servers inside the network are allowed.
        helo: the full name of this server for EHLO; None for an address literal.
        tls: the authorities to trust; None for the system's list.
        retry_after: seconds before each further attempt of an email that may be accepted later.
    """

    def __init__(
        self,
        *,
        allow_inside: bool,
        helo: str | None = None,
        tls: ssl.SSLContext | None = None,
        retry_after: Sequence[float] = RETRY_AFTER,
    ) -> None:
        self._allow_inside = allow_inside
        self._helo = helo
        self._tls = tls
        self._retry_after = tuple(retry_after)
        self._retrying = 0
        self._connections = asyncio.Semaphore(_CONNECTIONS)
        self._pending = 0

    async def steps(self, server: MailServer, message: EmailMessage) -> AsyncIterator[Step]:
        """Deliver a message; yield each step when it is done. Raises DeliveryError."""
        if self._pending >= _PENDING:
            raise DeliveryError("busy")
        self._pending += 1
        try:
            async with self._connections:
                async for step in self._steps(server, message):
                    yield step
        finally:
            self._pending -= 1

    @property
    def can_retry(self) -> bool:
        """Whether one more email may wait to be sent again."""
        return self._retrying < _RETRIES and bool(self._retry_after)

    async def try_again(self, server: MailServer, message: EmailMessage) -> None:
        """Send a message again, after a while each time. Raises DeliveryError with the last failure."""
        self._retrying += 1
        try:
            for attempt, delay in enumerate(self._retry_after, start=1):
                await asyncio.sleep(delay)
                try:
                    async for _ in self.steps(server, message):
                        pass
                except DeliveryError as error:
                    if not error.may_retry or attempt == len(self._retry_after):
                        raise
                else:
                    return
        finally:
            self._retrying -= 1

    async def _steps(self, server: MailServer, message: EmailMessage) -> AsyncIterator[Step]:
        converse, tls = await asyncio.to_thread(self._prepared)
        addresses = await endpoints(server.host, server.port, allow_inside=self._allow_inside, timeout=server.timeout)
        yield "found"
        connection = await connected(addresses, server.timeout)
        async for step in converse(connection, server, message, tls, self._helo):
            yield step

    def _prepared(self) -> tuple[Callable[..., AsyncIterator[Step]], ssl.SSLContext]:
        """The conversation, and the authorities to trust; in a thread, as both take long to load."""
        try:
            from crm_core.mail.delivery import conversation  # needs the extra `smtp`
        except ImportError:
            raise DeliveryError("not_installed") from None
        return conversation, self._tls or ssl.create_default_context()

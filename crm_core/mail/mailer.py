"""Delivers emails through a tenant's server, a few at a time, and reports each step."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from email.message import EmailMessage
from typing import Final

from crm_core.mail.errors import DeliveryError
from crm_core.mail.resolve import connected, endpoints
from crm_core.mail.server import MailServer, Step

_CONNECTIONS: Final = 4  # to one server
_PENDING: Final = 16  # emails for one server, with those that wait for a connection
_MOST_PENDING: Final = 256  # for all servers
_RETRIES: Final = 100  # emails that wait to be sent again
RETRY_AFTER: Final = (60.0, 300.0, 900.0)
"""Seconds before each further attempt: servers that delay the first email of a sender accept it within minutes."""


class _Turns:
    """The emails for one server: as many at a time as it may have connections."""

    def __init__(self) -> None:
        self.connections = asyncio.Semaphore(_CONNECTIONS)
        self.pending = 0


class Mailer:
    """Delivers messages over a limited number of connections to each server: one that hangs delays no other's.

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
        self._turns: dict[tuple[str, int], _Turns] = {}

    async def steps(self, server: MailServer, message: EmailMessage) -> AsyncIterator[Step]:
        """Deliver a message; yield each step when it is done. Raises DeliveryError."""
        place = (server.host, server.port)
        turns = self._turns.get(place) or _Turns()
        if turns.pending >= _PENDING or sum(each.pending for each in self._turns.values()) >= _MOST_PENDING:
            raise DeliveryError("busy")
        self._turns[place] = turns
        turns.pending += 1
        try:
            async with turns.connections:
                async for step in self._steps(server, message):
                    yield step
        finally:
            turns.pending -= 1
            if not turns.pending:
                del self._turns[place]

    @property
    def can_retry(self) -> bool:
        """Whether one more email may wait to be sent again."""
        return self._retrying < _RETRIES and bool(self._retry_after)

    async def try_again(self, written: Callable[[], Awaitable[tuple[MailServer, EmailMessage]]]) -> None:
        """Send a message again, after a while each time. Raises DeliveryError with the last failure.

        ``written``: the message and its server by the settings at that moment, which a push may have changed.
        """
        self._retrying += 1
        try:
            for attempt, delay in enumerate(self._retry_after, start=1):
                await asyncio.sleep(delay)
                try:
                    async for _ in self.steps(*await written()):
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

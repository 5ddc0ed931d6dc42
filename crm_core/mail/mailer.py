"""Delivers emails through a tenant's server, a few at a time, and reports each step."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Final

from crm_core.mail.errors import DeliveryError
from crm_core.mail.resolve import connected, endpoints
from crm_core.mail.server import MailServer, Step

_CONNECTIONS: Final = 8
_PENDING: Final = 32  # with those that wait for a connection


class Mailer:
    """Delivers messages over a limited number of connections.

    Args:
        allow_inside: whether servers inside the network are allowed.
        tls: the authorities to trust; None for the system's list.
    """

    def __init__(self, *, allow_inside: bool, tls: ssl.SSLContext | None = None) -> None:
        self._allow_inside = allow_inside
        self._tls = tls
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

    async def _steps(self, server: MailServer, message: EmailMessage) -> AsyncIterator[Step]:
        try:
            from crm_core.mail.delivery import conversation  # needs the extra `smtp`
        except ImportError:
            raise DeliveryError("not_installed") from None
        found = await endpoints(server.host, server.port, allow_inside=self._allow_inside, timeout=server.timeout)
        yield "found"
        connection = await connected(found, server.timeout)
        tls = self._tls or ssl.create_default_context()
        async for step in conversation(connection, server, message, tls):
            yield step

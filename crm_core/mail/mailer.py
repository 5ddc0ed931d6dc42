"""Delivers letters through whatever server it is given, a few at a time, each step told as it is done."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Final

from crm_core.mail.resolve import connected, endpoints
from crm_core.mail.server import MailServer, Step
from crm_core.mail.trouble import MailTrouble

_AT_ONCE: Final = 8
_WAITING: Final = 32


class Mailer:
    """Hands messages over; at most a few connections are open at once.

    Args:
        allow_inside: whether servers inside the network may be connected to.
        tls: whom to trust; None is the system's own list of authorities.
    """

    def __init__(self, *, allow_inside: bool, tls: ssl.SSLContext | None = None) -> None:
        self._allow_inside = allow_inside
        self._tls = tls
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._under_way = 0

    async def deliver(self, server: MailServer, message: EmailMessage) -> None:
        """Deliver a message. Raises MailTrouble."""
        async for _ in self.steps(server, message):
            pass

    async def steps(self, server: MailServer, message: EmailMessage) -> AsyncIterator[Step]:
        """Deliver a message and tell each step once it is done. Raises MailTrouble."""
        if self._under_way >= _WAITING:
            raise MailTrouble("busy")
        self._under_way += 1
        try:
            async with self._room:
                async for step in self._steps(server, message):
                    yield step
        finally:
            self._under_way -= 1

    async def _steps(self, server: MailServer, message: EmailMessage) -> AsyncIterator[Step]:
        try:
            from crm_core.mail.delivery import conversation  # the extra `smtp` brings what it needs
        except ImportError:
            raise MailTrouble("not_installed") from None
        found = await endpoints(server.host, server.port, allow_inside=self._allow_inside, timeout=server.timeout)
        yield "found"
        connection = await connected(found, server.timeout)
        tls = self._tls or ssl.create_default_context()
        async for step in conversation(connection, server, message, tls):
            yield step

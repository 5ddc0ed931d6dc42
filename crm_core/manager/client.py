"""The client's side of one request: its body as it arrives, and the news that it left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

_UNHURRIED_SECONDS: Final = 0.05


class ClientLeft(Exception):
    """The client closed its connection before its request was whole."""


class Downstream:
    """Made in the task that serves the request, which is cancelled when the client leaves; ``left`` then tells why.

    Most answers come before anybody could care: whether the client is still there is looked at a little later.
    """

    def __init__(self, receive: Any) -> None:
        self.left = False
        self._receive = receive
        self._task = asyncio.current_task()
        self._later: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None

    async def body(self) -> bytes | AsyncIterator[bytes] | None:
        """The body: None where there is none, bytes where it came at once, else its parts. Raises ClientLeft.

        Parts may begin with an empty one: what is late is not waited for, as it may be refused by its head alone.
        """
        try:
            async with asyncio.timeout(_UNHURRIED_SECONDS):
                message = await self._receive()
        except TimeoutError:
            return self._parts(b"")
        if message["type"] == "http.disconnect":
            self.left = True
            raise ClientLeft
        if message["more_body"]:
            return self._parts(message["body"])
        self._later = asyncio.get_running_loop().call_later(_UNHURRIED_SECONDS, self._look)
        return message["body"] or None

    def forget(self) -> None:
        """Look after the client no more."""
        if self._later is not None:
            self._later.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def _parts(self, first: bytes) -> AsyncIterator[bytes]:
        yield first
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
                raise ClientLeft  # a plain end would pass for the end of the body
            if message["body"]:
                yield message["body"]
            if not message["more_body"]:
                break
        self._look()

    def _look(self) -> None:
        self._watch = asyncio.create_task(self._await_leave())

    async def _await_leave(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self.left = True
        if self._task is not None:
            self._task.cancel()

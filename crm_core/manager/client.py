"""The client's side of one request: its body as it arrives, and its disconnect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from crm_core.server.asgi import Receive

_GRACE_SECONDS: Final = 0.05


class ClientDisconnected(Exception):
    """The client closed its connection before its request was complete."""


class Downstream:
    """Cancel the task that serves the request when the client disconnects; ``disconnected`` is then True.

    Create it in that task. Watching starts a little later, since most responses are complete by then.
    """

    def __init__(self, receive: Receive) -> None:
        self.disconnected = False
        self._receive = receive
        self._task = asyncio.current_task()
        self._later: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None

    async def body(self) -> bytes | AsyncIterator[bytes] | None:
        """Return None if there is no body, bytes if it came immediately, else its parts.

        The first part may be empty: a late body is not awaited, since the instance may refuse the head alone.

        Raises ClientDisconnected.
        """
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                message = await self._receive()
        except TimeoutError:
            return self._parts(b"")
        if message["type"] == "http.disconnect":
            self.disconnected = True
            raise ClientDisconnected
        if message["more_body"]:
            return self._parts(message["body"])
        self._later = asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._start_watching)
        return message["body"] or None

    def close(self) -> None:
        """Stop watching the client."""
        if self._later is not None:
            self._later.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def _parts(self, first: bytes) -> AsyncIterator[bytes]:
        yield first
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._disconnect()
                raise ClientDisconnected  # returning would look like the end of the body
            if message["body"]:
                yield message["body"]
            if not message["more_body"]:
                break
        self._start_watching()

    def _start_watching(self) -> None:
        self._watch = asyncio.create_task(self._await_disconnect())

    async def _await_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._disconnect()

    def _disconnect(self) -> None:
        self.disconnected = True
        if self._task is not None:
            self._task.cancel()

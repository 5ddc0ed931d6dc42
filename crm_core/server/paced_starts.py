"""A bound on the work of one turn of the event loop: requests that arrive together start a few at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from crm_core.server.asgi import Asgi, Receive, Scope, Send

STARTS: Final = 4  # requests of a turn; a push takes up to a millisecond until it waits for the disk


class PacedStarts:
    """An ASGI application that starts at most ``STARTS`` requests of another in a turn of the loop, in order.

    In between the loop reads what has arrived and continues requests that were waiting. So none waits for the work of
    all that came with it, only for that of the few before it.
    """

    def __init__(self, app: Asgi) -> None:
        self._app = app
        self._started = 0  # in this turn
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, in a later turn if this one has started enough."""
        loop = asyncio.get_running_loop()
        if self._started == 0:
            loop.call_soon(self._next_turn)
        if self._started < STARTS:
            self._started += 1
        else:
            turn = loop.create_future()
            self._waiting.append(turn)
            await turn
        await self._app(scope, receive, send)

    def _next_turn(self) -> None:
        self._started = 0
        while self._waiting and self._started < STARTS:
            turn = self._waiting.popleft()
            if not turn.done():  # otherwise its request was cut off
                turn.set_result(None)
                self._started += 1
        if self._started:
            asyncio.get_running_loop().call_soon(self._next_turn)

"""A bound on the work of one turn of the event loop: requests that arrive together start a few at a time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from crm_core.server.asgi import Asgi, Receive, Scope, Send

FEWEST: Final = 4  # requests of a turn; a push takes up to a millisecond until it waits for the disk
MOST: Final = 12  # short ones; if pushes follow, their first turn is still bearable
_TURN: Final = 0.003  # seconds: after a longer turn fewer requests start


class PacedStarts:
    """An ASGI application that starts ``FEWEST`` to ``MOST`` requests of another in a turn of the loop, in order.

    In between the loop reads what has arrived and continues requests that were waiting. So none waits for the work of
    all that came with it, only for that of the few before it. Short requests start in larger numbers, since each turn
    has its own cost. ``clock``: seconds that pass.
    """

    def __init__(self, app: Asgi, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._clock = clock
        self._most = FEWEST
        self._began = 0.0
        self._started = 0  # in this turn
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, in a later turn if this one has started enough."""
        loop = asyncio.get_running_loop()
        if self._started == 0:
            self._began = self._clock()
            loop.call_soon(self._next_turn)
        if self._started < self._most:
            self._started += 1
        else:
            turn = loop.create_future()
            self._waiting.append(turn)
            await turn
        await self._app(scope, receive, send)

    def _next_turn(self) -> None:
        now = self._clock()
        if now - self._began > _TURN:
            self._most = max(FEWEST, self._most // 2)
        elif self._started == self._most:
            self._most = min(MOST, self._most + 1)
        self._began, self._started = now, 0
        while self._waiting and self._started < self._most:
            turn = self._waiting.popleft()
            if not turn.done():  # otherwise its request was cut off
                turn.set_result(None)
                self._started += 1
        if self._started:
            asyncio.get_running_loop().call_soon(self._next_turn)

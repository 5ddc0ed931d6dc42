"""Long work on the event loop in short turns, between which other tasks run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

TURN: Final = 0.002
"""Seconds after which other tasks run; a turn may take one step longer."""
STEP: Final = 128  # items between two looks at the clock


class Turn:
    """A turn of work. Check ``over`` every few dozen steps: reading the clock costs as much as some of them.

    ``clock``: wall-clock seconds. A turn uses no more CPU time than that, and reading CPU time is a system call.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = clock()

    @property
    def over(self) -> bool:
        """Whether other tasks should run now; if so the next turn begins when this is called."""
        now = self._clock()
        if now - self._began < TURN:
            return False
        self._began = now
        return True

    async def pause(self) -> None:
        """Let other tasks run if the turn is over."""
        if self.over:
            await asyncio.sleep(0)
            self._began = self._clock()  # the others' work does not count


async def in_turns(items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """The items a few at a time, with pauses in which other tasks run.

    The first pause is before any item, so that many short lists are not one long turn.
    """
    await asyncio.sleep(0)
    turn = Turn()
    for start in range(0, len(items), STEP):
        yield items[start : start + STEP]
        await turn.pause()


async def chosen_in_turns(items: Sequence[T], test: Callable[[T], object]) -> list[T]:
    """The items that meet a test."""
    return [item async for some in in_turns(items) for item in some if test(item)]

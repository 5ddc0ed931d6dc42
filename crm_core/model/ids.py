"""Ids of everything that is stored: UUID version 7 (RFC 9562, section 5.7), in the order they were made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import Random
from uuid import UUID

_RANDOM_BITS = 74
_LOW_BITS = 62


class Ids:
    """Makes ids that sort by time, also within a millisecond and when the clock steps back.

    They identify and are no secret: ``random`` is a generator of the process, seeded by the system once.
    """

    def __init__(self, now: Callable[[], datetime], random: Random | None = None) -> None:
        self._now = now
        self._draw = (random or Random()).getrandbits  # noqa: S311 -- an id is no secret
        self._milliseconds = 0
        self._random = 0

    def new(self) -> str:
        """The next id, larger than every one before it (RFC 9562, section 6.2, method 2)."""
        milliseconds = int(self._now().timestamp() * 1000)
        if milliseconds > self._milliseconds:
            self._milliseconds, self._random = milliseconds, self._fresh()
        else:
            self._random += 1
            if self._random >> _RANDOM_BITS:
                self._milliseconds, self._random = self._milliseconds + 1, self._fresh()
        high, low = self._random >> _LOW_BITS, self._random & ((1 << _LOW_BITS) - 1)
        return str(UUID(int=self._milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << _LOW_BITS | low))

    def _fresh(self) -> int:
        # The highest bit stays free, so that counting up within a millisecond never runs over.
        return self._draw(_RANDOM_BITS - 1)


def is_id(text: str) -> bool:
    """Whether a text has the form of an id: a lower-case UUID with its hyphens."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False

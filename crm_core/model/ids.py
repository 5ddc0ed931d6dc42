"""Ids of stored things: UUID version 7 (RFC 9562, section 5.7), which sort by the time they were made."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

_RANDOM_BITS = 74
_LOW_BITS = 62
_LOW_MASK = (1 << _LOW_BITS) - 1
_FIXED = 7 << 76 | 0b10 << _LOW_BITS  # version and variant
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Ids:
    """Makes ids that sort by time, also within a millisecond and when the clock steps back.

    They are not secret: ``random`` is a generator of the process, which the system seeds once.
    """

    def __init__(self, now: Callable[[], datetime], random: Random | None = None) -> None:
        self._now = now
        self._draw = (random or Random()).getrandbits  # noqa: S311 -- an id is no secret
        self._milliseconds = 0
        self._random = 0

    def new(self) -> str:
        """The next id, larger than every one before it (RFC 9562, section 6.2, method 2)."""
        return self.at(self._now())

    def at(self, moment: datetime) -> str:
        """The next id for the time ``moment``."""
        milliseconds = int(moment.timestamp() * 1000)
        if milliseconds > self._milliseconds:
            self._milliseconds, self._random = milliseconds, self._fresh()
        else:
            self._random += 1
            if self._random >> _RANDOM_BITS:
                self._milliseconds, self._random = self._milliseconds + 1, self._fresh()
        random = self._random
        text = "%032x" % (self._milliseconds << 80 | _FIXED | random >> _LOW_BITS << 64 | random & _LOW_MASK)
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def _fresh(self) -> int:
        # The highest bit stays free, so that counting up within a millisecond never runs over.
        return self._draw(_RANDOM_BITS - 1)


def first_id(moment: datetime) -> str:
    """A text that sorts before every id made at a moment or later, and after all earlier ones."""
    milliseconds = f"{int(moment.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"


def made_at(id_: str) -> datetime:
    """When an id was made, to the millisecond."""
    return datetime.fromtimestamp(int(id_[:8] + id_[9:13], 16) / 1000, UTC)


def is_id(text: str) -> bool:
    """Whether a text has the form of an id: a lower-case UUID with its hyphens."""
    return _ID.fullmatch(text) is not None

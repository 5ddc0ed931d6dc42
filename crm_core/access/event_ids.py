"""Ids of events: where a client that was cut off resumes, also within a commit of several events."""

from __future__ import annotations

import re
import sys
from typing import Final, NamedTuple

_ID: Final = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,9}))?")


class EventPlace(NamedTuple):
    """A place in a tenant's events: after the first ``number`` events of the commit ``seq``; without it, after all."""

    seq: int
    number: int = sys.maxsize

    @classmethod
    def parse(cls, text: str) -> EventPlace | None:
        """The place that an id of an event names; None if no event has such an id."""
        found = _ID.fullmatch(text)
        if found is None:
            return None
        return cls(int(found[1])) if found[2] is None else cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return str(self.seq) if self.number == sys.maxsize else f"{self.seq}.{self.number}"

    @property
    def whole(self) -> int:
        """The last commit of which every event is before this place."""
        return self.seq if self.number == sys.maxsize else self.seq - 1

"""Cursors of the change feed: places in a tenant's change log, as its API and its event streams show them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_CURSOR: Final = re.compile(r"([0-9a-z]{1,32})-([0-9]{1,15})")


class ChangeCursor(NamedTuple):
    """After the entry at a place of a change log; 0: before the first. ``epoch``: of that log."""

    epoch: str
    place: int

    @classmethod
    def parse(cls, text: str) -> ChangeCursor | None:
        """The cursor of a text; None if it is none."""
        match = _CURSOR.fullmatch(text)
        return None if match is None else cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return cursor_text(self.epoch, self.place)


def cursor_text(epoch: str, place: int | str) -> str:
    """The text of a cursor; a page of the feed has hundreds."""
    return f"{epoch}-{place}"

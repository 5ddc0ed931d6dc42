"""Cursors of the change feed: places in a tenant's change log, as its API and its event streams show them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_CURSOR: Final = re.compile(r"([0-9a-z]{1,32})-([0-9]{1,15})")


class ChangeCursor(NamedTuple):
    """A position after the entry at ``place``, 0 before the first, in the change log with this ``epoch``."""

    epoch: str
    place: int

    @classmethod
    def parse(cls, text: str) -> ChangeCursor | None:
        """Parse a cursor; None if the text is not one."""
        match = _CURSOR.fullmatch(text)
        return None if match is None else cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return cursor_text(self.epoch, self.place)


def cursor_text(epoch: str, place: int | str) -> str:
    """The text of a cursor, without making the cursor: a page of the feed has hundreds."""
    return f"{epoch}-{place}"

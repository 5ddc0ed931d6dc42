"""Two people who changed one record: which fields differ, who changed which, and what is saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from crm_core.web.pages.records.forms import Values

Side = Literal["both", "mine", "theirs"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A field that at least one side changed. ``picked``: ``mine`` or ``theirs`` if that was chosen already."""

    name: str
    side: Side
    mine: str
    theirs: str
    was: str
    picked: str


class Merge(msgspec.Struct, frozen=True, kw_only=True):
    """Two versions of a form, the ``base`` that both started from, and what was picked by field."""

    base: Values
    mine: Values
    theirs: Values
    picks: Mapping[str, str]

    @property
    def values(self) -> Values:
        """A field that one side changed as that side has it; one that both changed as mine."""
        return {
            name: mine if mine != self.base.get(name, "") else self.theirs[name] for name, mine in self.mine.items()
        }

    @property
    def undecided(self) -> list[str]:
        """The fields that both changed and for which no version is picked."""
        return [one.name for one in self.differences() if one.side == "both" and not one.picked]

    def differences(self) -> Iterator[Difference]:
        """Every field that the two sides have differently."""
        for name, mine in self.mine.items():
            was, theirs = self.base.get(name, ""), self.theirs[name]
            if mine != theirs:
                side: Side = "mine" if theirs == was else "theirs" if mine == was else "both"
                picked = self.picks.get(name, "")
                yield Difference(name=name, side=side, mine=mine, theirs=theirs, was=was, picked=picked)

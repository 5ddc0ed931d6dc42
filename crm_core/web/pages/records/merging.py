"""Two people who changed one record: which fields differ, who changed which, and what each would save."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from crm_core.web.pages.records.forms import Values

Side = Literal["both", "mine", "theirs"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A field that at least one side changed. ``picked``: ``mine`` or ``theirs`` where that was chosen already."""

    name: str
    side: Side
    mine: str
    theirs: str
    was: str
    picked: str = ""


def differences(base: Values, mine: Values, theirs: Values, picks: Mapping[str, str]) -> list[Difference]:
    """Every field that is not the same on both sides and in what both started from."""
    return list(_differences(base, mine, theirs, picks))


def merged(base: Values, mine: Values, theirs: Values) -> Values:
    """What only one side changed, as that side has it; what both changed, as mine."""
    return {name: mine[name] if mine[name] != base.get(name, "") else theirs[name] for name in mine}


def undecided(found: Iterable[Difference]) -> list[str]:
    """The fields that both changed and nobody has chosen for."""
    return [one.name for one in found if one.side == "both" and not one.picked]


def _differences(base: Values, mine: Values, theirs: Values, picks: Mapping[str, str]) -> Iterable[Difference]:
    for name in mine:
        was, my, their = base.get(name, ""), mine[name], theirs[name]
        if my == their:
            continue
        side: Side = "mine" if their == was else "theirs" if my == was else "both"
        yield Difference(name=name, side=side, mine=my, theirs=their, was=was, picked=picks.get(name, ""))

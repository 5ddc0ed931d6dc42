"""Which pairs of tokens are readable in every theme, for all pushed colours (WCAG 2.2 AA and better)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from crm_core.model.contrast import contrast
from crm_core.web.theme.derive import GROUNDS, STATES

_INKS = ("primary", "accent", *STATES, "idle")
_SIDES = ("side", "side-hover", "side-active")


class ReadablePair(NamedTuple):
    """The front colour has at least ``ratio`` on the ground."""

    front: str
    ground: str
    ratio: float


class Miss(NamedTuple):
    """A pair that a theme does not keep readable, and the contrast that it has instead."""

    pair: ReadablePair
    measured: float


READABLE_PAIRS: tuple[ReadablePair, ...] = (
    *(ReadablePair("text", ground, 7.0) for ground in GROUNDS),
    *(ReadablePair("text", f"{ink}-soft", 4.5) for ink in _INKS),
    *(ReadablePair("muted", ground, 4.5) for ground in GROUNDS),
    *(ReadablePair("border-strong", ground, 3.0) for ground in GROUNDS),
    *(ReadablePair(f"{ink}-text", ground, 4.5) for ink in _INKS for ground in (*GROUNDS, f"{ink}-soft")),
    *(ReadablePair(f"on-{fill}", ground, 4.5) for fill in ("primary", "accent") for ground in (fill, f"{fill}-hover")),
    *(ReadablePair(f"{fill}-edge", ground, 3.0) for fill in ("primary", "accent") for ground in ("bg", "surface")),
    *(ReadablePair("focus", ground, 3.0) for ground in (*GROUNDS, "primary-soft")),
    *(ReadablePair(front, ground, 4.5) for front in ("side-text", "side-muted") for ground in _SIDES),
    *(ReadablePair("side-mark", ground, 3.0) for ground in _SIDES),
    *(ReadablePair(f"{state}-solid", ground, 3.0) for state in STATES for ground in ("bg", "surface")),
)


def misses(tokens: Mapping[str, str]) -> list[Miss]:
    """Every pair that these tokens leave unreadable; none for any derived theme."""
    measured = ((pair, contrast(tokens[pair.front], tokens[pair.ground])) for pair in READABLE_PAIRS)
    return [Miss(pair, ratio) for pair, ratio in measured if ratio < pair.ratio]

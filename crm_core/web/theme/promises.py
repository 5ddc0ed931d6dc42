"""Which pairs of tokens are readable in every theme, for all pushed colours (WCAG 2.2 AA and better)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from crm_core.web.theme.color import contrast
from crm_core.web.theme.derive import GROUNDS, STATES

_INKS = ("primary", "accent", *STATES, "idle")
_SIDES = ("side", "side-hover", "side-active")


class Promise(NamedTuple):
    """The front colour has at least ``ratio`` on the ground."""

    front: str
    ground: str
    ratio: float


class Miss(NamedTuple):
    """A promise that a theme does not keep, and what it has instead."""

    promise: Promise
    measured: float


PROMISES: tuple[Promise, ...] = (
    *(Promise("text", ground, 7.0) for ground in GROUNDS),
    *(Promise("text", f"{ink}-soft", 4.5) for ink in _INKS),
    *(Promise("muted", ground, 4.5) for ground in GROUNDS),
    *(Promise("border-strong", ground, 3.0) for ground in GROUNDS),
    *(Promise(f"{ink}-text", ground, 4.5) for ink in _INKS for ground in (*GROUNDS, f"{ink}-soft")),
    *(Promise(f"on-{fill}", ground, 4.5) for fill in ("primary", "accent") for ground in (fill, f"{fill}-hover")),
    *(Promise(f"{fill}-edge", ground, 3.0) for fill in ("primary", "accent") for ground in ("bg", "surface")),
    *(Promise("focus", ground, 3.0) for ground in (*GROUNDS, "primary-soft")),
    *(Promise(front, ground, 4.5) for front in ("side-text", "side-muted") for ground in _SIDES),
    *(Promise("side-mark", ground, 3.0) for ground in _SIDES),
    *(Promise(f"{state}-solid", ground, 3.0) for state in STATES for ground in ("bg", "surface")),
)


def misses(tokens: Mapping[str, str]) -> list[Miss]:
    """Every promise that these tokens break; none for any derived theme."""
    measured = ((promise, contrast(tokens[promise.front], tokens[promise.ground])) for promise in PROMISES)
    return [Miss(promise, ratio) for promise, ratio in measured if ratio < promise.ratio]

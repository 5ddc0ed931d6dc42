"""Neighbors of a color: darker, mixed, readable on given grounds, readable on a fill."""

from __future__ import annotations

import math
from collections.abc import Sequence

from crm_core.model.contrast import contrast, luminance
from crm_core.web.theme.color import hex_of, oklch

_SLACK = 0.05  # results exceed the required ratio by this much
_STEPS = 20
_MIDDLE_LUMINANCE = 0.179  # where black and white contrast equally with a ground


def shade(color: str, light: float) -> str:
    """The same color at another lightness. Yellows turn to bronze as they darken, not to olive."""
    own, chroma, hue = oklch(color)
    if 80 <= hue <= 120 and light < own:
        hue -= 25 * min(1.0, (own - light) / 0.4)
    return hex_of(light, chroma, hue)


def mix(color: str, other: str, share: float) -> str:
    """``share`` (0 to 1) of the other color in this one, on a straight line through OKLab."""
    one, two = oklch(color), oklch(other)
    a = _between(one.chroma * math.cos(math.radians(one.hue)), two.chroma * math.cos(math.radians(two.hue)), share)
    b = _between(one.chroma * math.sin(math.radians(one.hue)), two.chroma * math.sin(math.radians(two.hue)), share)
    return hex_of(_between(one.light, two.light, share), math.hypot(a, b), math.degrees(math.atan2(b, a)))


def reach(color: str, grounds: Sequence[str], ratio: float) -> str:
    """The color itself if it has ``ratio`` against every ground, else the nearest in lightness that does."""

    def is_readable(candidate: str) -> bool:
        return all(contrast(candidate, ground) >= ratio + _SLACK for ground in grounds)

    if is_readable(color):
        return color
    own = oklch(color).light
    on_light = max(luminance(ground) for ground in grounds) > _MIDDLE_LUMINANCE
    for end in (0.0, 1.0) if on_light else (1.0, 0.0):
        if not is_readable(shade(color, end)):
            continue
        near, far = own, end
        for _ in range(_STEPS):
            middle = (near + far) / 2
            near, far = (near, middle) if is_readable(shade(color, middle)) else (middle, far)
        return shade(color, far)
    return max(("#000000", "#ffffff"), key=lambda end: min(contrast(end, ground) for ground in grounds))


def on(fill: str) -> str:
    """Text on a fill at 4.5:1 or more: white where it can, else near-black of the fill's hue, else black."""
    _, chroma, hue = oklch(fill)
    candidates = ("#ffffff", hex_of(0.20, min(chroma, 0.03), hue))
    return next((text for text in candidates if contrast(text, fill) >= 4.5), "#000000")


def _between(one: float, other: float, share: float) -> float:
    return (1 - share) * one + share * other

"""Colors as ``#rrggbb``, and their place in OKLCH (Ottosson 2020)."""

from __future__ import annotations

import math
from typing import NamedTuple

from crm_core.model.contrast import linear

_OUTSIDE = 1e-4  # how far a channel may leave 0 to 1 and still count as inside sRGB
_BISECTIONS = 24


class Oklch(NamedTuple):
    """Lightness 0 to 1, chroma from 0, hue in degrees."""

    light: float
    chroma: float
    hue: float


def oklch(color: str) -> Oklch:
    """A color in OKLCH."""
    red, green, blue = linear(color)
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    medium = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    light = 0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short
    a = 1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short
    return Oklch(light, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360)


def hex_of(light: float, chroma: float, hue: float) -> str:
    """The sRGB color of that lightness and hue; if none is that vivid, the most vivid one."""
    light = min(1.0, max(0.0, light))
    if not _is_inside(light, chroma, hue):
        low, high = 0.0, chroma
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if _is_inside(light, middle, hue) else (low, middle)
        chroma = low
    red, green, blue = (_eight_bits(channel) for channel in _channels(light, chroma, hue))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _eight_bits(channel: float) -> int:
    channel = min(1.0, max(0.0, channel))
    encoded = 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
    return round(encoded * 255)


def _channels(light: float, chroma: float, hue: float) -> tuple[float, float, float]:
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _is_inside(light: float, chroma: float, hue: float) -> bool:
    return all(-_OUTSIDE <= channel <= 1 + _OUTSIDE for channel in _channels(light, chroma, hue))

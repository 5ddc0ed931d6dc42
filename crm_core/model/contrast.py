"""The contrast of colors, each written ``#rrggbb`` (WCAG 2.x)."""

from __future__ import annotations


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colors, 1 to 21, the same both ways."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    """The relative luminance, 0 to 1."""
    red, green, blue = linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def linear(color: str) -> tuple[float, float, float]:
    """Red, green and blue as linear light, each 0 to 1."""
    return _decoded(color[1:3]), _decoded(color[3:5]), _decoded(color[5:7])


def _decoded(digits: str) -> float:
    value = int(digits, 16) / 255
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)

"""How each token is made from the five pushed colors: fills stay as they are, text is made readable on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from crm_core.model.contrast import contrast
from crm_core.web.theme.color import hex_of, oklch
from crm_core.web.theme.shades import mix, on, reach, shade

Mode = Literal["light", "dark"]
Tokens = dict[str, str]

DEFAULTS: Mapping[str, str] = {
    "primary": "#3457d5",
    "accent": "#0e8f8a",
    "background": "#f7f8fa",
    "sidebar": "#ffffff",
    "text": "#1b2230",
}
STATES: Mapping[str, tuple[float, float, float]] = {
    "ok": (0.60, 0.15, 152),
    "warn": (0.70, 0.15, 72),
    "bad": (0.58, 0.20, 27),
    "info": (0.58, 0.14, 247),
}
"""Seeds of the states in OKLCH. States never follow the brand: red stays red."""

GROUNDS = ("bg", "surface", "sunken", "hover")
_GRAY = 0.004  # a background under this chroma lends no hue
_DARK_BACKGROUND = 0.5


def derive(colors: Mapping[str, str], mode: Mode) -> Tokens:
    """Every token of one mode as ``#rrggbb``. Colors that were not pushed have their defaults.

    Args:
        colors: ``primary, accent, background, sidebar, text``, each ``#rrggbb``, none required.
        mode: which of the two sheets.
    """
    pushed = {**DEFAULTS, **{name: color.lower() for name, color in colors.items()}}
    dark = mode == "dark"
    tokens = _page(pushed, dark=dark)
    grounds = [tokens[name] for name in GROUNDS]
    tokens |= _text(pushed["text"], grounds, tokens["surface"], dark=dark)
    for name in ("primary", "accent"):
        tokens |= _fill(name, pushed[name], grounds, dark=dark)
    tokens["focus"] = reach(pushed["primary"], [*grounds, tokens["primary-soft"]], 3.0)
    tokens |= _side(pushed, page_light=_page_light(pushed["background"], dark=dark), dark=dark)
    tokens |= _states(tokens, grounds, dark=dark)
    return tokens


def theme_sheet(colors: Mapping[str, str]) -> str:
    """The stylesheet: tokens as custom properties, ``light-dark(...)`` where the modes differ. Only derived digits."""
    light, dark = derive(colors, "light"), derive(colors, "dark")
    lines = (
        f"--{name}:{color}" if color == dark[name] else f"--{name}:light-dark({color},{dark[name]})"
        for name, color in light.items()
    )
    return ":root{" + ";".join(lines) + "}\n"


def prefers_dark(colors: Mapping[str, str]) -> bool:
    """Whether a tenant's pages are dark where a user has not chosen: its pushed background is."""
    return "background" in colors and oklch(colors["background"]).light < _DARK_BACKGROUND


def _page_light(background: str, *, dark: bool) -> float:
    light = oklch(background).light
    if not dark:
        return max(light, 0.94)
    return min(0.22, max(0.14, light)) if light < _DARK_BACKGROUND else 0.175


def _page(pushed: Mapping[str, str], *, dark: bool) -> Tokens:
    """The grounds: page, card, table head, hover, and the line between them."""
    _, chroma, hue = oklch(pushed["background"])
    if chroma < _GRAY:
        hue = oklch(pushed["primary"]).hue
    base = _page_light(pushed["background"], dark=dark)
    if dark:
        tint = min(max(chroma, 0.008), 0.015)
        levels = {"bg": 0.0, "surface": 0.035, "sunken": 0.01, "hover": 0.065, "border": 0.13}
        return {name: hex_of(base + level, tint, hue) for name, level in levels.items()}
    tint = min(chroma, 0.02)
    return {
        "bg": hex_of(base, tint, hue),
        "surface": hex_of(1.0, 0.0, hue),
        "sunken": hex_of(min(base, 0.975), tint, hue),
        "hover": hex_of(0.96, tint, hue),
        "border": hex_of(0.905, tint, hue),
    }


def _text(color: str, grounds: list[str], surface: str, *, dark: bool) -> Tokens:
    light, chroma, hue = oklch(color)
    if dark and light <= 0.8:
        color = hex_of(0.94, min(chroma, 0.01), hue)
    text = reach(color, grounds, 7.0)
    return {
        "text": text,
        "muted": reach(mix(text, surface, 0.36), grounds, 4.5),
        "border-strong": reach(mix(text, surface, 0.55), grounds, 3.0),
    }


def _fill(name: str, fill: str, grounds: list[str], *, dark: bool) -> Tokens:
    """A brand color as a fill, the text on it, its edge, its tint and the shade of it that can be read."""
    if dark and oklch(fill).light < 0.35:
        fill = shade(fill, 0.5)  # a near-black brand color would sink into a dark page
    light, chroma, hue = oklch(fill)
    text = on(fill)
    step = -0.045 if text == "#ffffff" else 0.045
    soft = hex_of(0.30, min(chroma, 0.06), hue) if dark else hex_of(0.955, min(chroma, 0.035), hue)
    return {
        name: fill,
        f"on-{name}": text,
        f"{name}-hover": shade(fill, light + (step if light + step <= 0.97 else -0.03)),
        f"{name}-edge": reach(fill, [grounds[1], grounds[0]], 3.0),
        f"{name}-soft": soft,
        f"{name}-text": reach(fill, [*grounds, soft], 4.5),
    }


def _side(pushed: Mapping[str, str], *, page_light: float, dark: bool) -> Tokens:
    side = pushed["sidebar"]
    light, chroma, hue = oklch(side)
    if dark and light > 0.32:
        # No glare next to a dark page: the hue stays, the light goes.
        side = hex_of(page_light - 0.02 if chroma < 0.03 else 0.24, min(chroma, 0.03), hue)
    ink = on(side)
    # Tints lean towards the ink; on a mid-tone that would cost the text its contrast, so there they lean away.
    away = "#000000" if ink == "#ffffff" else "#ffffff"
    lean = ink if contrast(ink, mix(side, ink, 0.13)) >= 5.5 else away
    grounds = [side, mix(side, lean, 0.07), mix(side, lean, 0.13)]
    text = reach(ink, grounds, 4.5)
    return {
        "side": side,
        "side-hover": grounds[1],
        "side-active": grounds[2],
        "side-border": mix(side, ink, 0.16),
        "side-text": text,
        "side-muted": reach(mix(text, side, 0.28), grounds, 4.5),
        "side-mark": reach(pushed["primary"], grounds, 3.0),
    }


def _states(tokens: Tokens, grounds: list[str], *, dark: bool) -> Tokens:
    light, chroma, hue = oklch(tokens["muted"])
    made: Tokens = {}
    for name, seed in {**STATES, "idle": (light, min(chroma, 0.02), hue)}.items():
        color = hex_of(*seed)
        tint = 0.006 if name == "idle" else 0.045 if dark else 0.035
        soft = hex_of(0.27 if dark else 0.955, tint, seed[2])
        solid = reach(color, [tokens["surface"], tokens["bg"]], 3.0)
        made |= {
            f"{name}-soft": soft,
            f"{name}-text": reach(color, [*grounds, soft], 4.5),
            f"{name}-solid": solid,
            f"{name}-edge": mix(solid, tokens["surface"], 0.55),
        }
    return made

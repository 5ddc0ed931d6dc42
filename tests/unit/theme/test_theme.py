from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_core.model.contrast import contrast
from crm_core.web.theme import derive, prefers_dark, theme_sheet
from crm_core.web.theme.color import hex_of, oklch
from crm_core.web.theme.derive import DEFAULTS
from crm_core.web.theme.shades import on, reach
from readable_pairs import misses

VECTORS = json.loads((Path(__file__).parent / "theme-vectors.json").read_text())

colors = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")
brands = st.fixed_dictionaries({}, optional=dict.fromkeys(DEFAULTS, colors))


@pytest.mark.parametrize(("brand", "mode"), list(product(VECTORS, ("light", "dark"))))
def test_vectors(brand: str, mode: str) -> None:
    """A known brand gives exactly the tokens of the vectors."""
    assert derive(VECTORS[brand]["colors"], mode) == VECTORS[brand][mode]


@settings(max_examples=120)
@given(brands, st.sampled_from(["light", "dark"]))
def test_any_brand_is_readable(brand: dict[str, str], mode: str) -> None:
    """No pair falls below its ratio, for any pushed colours."""
    assert misses(derive(brand, mode)) == []


HOSTILE = ["#000000", "#ffffff", "#808080", "#767676", "#ffff00", "#0000ff", "#ff00ff", "#010000"]


@pytest.mark.parametrize("one", HOSTILE)
def test_hostile_brands_are_readable(one: str) -> None:
    """Text in the colour of its ground, yellow on white, black on black: all end readable in both modes."""
    for other, mode in product(HOSTILE, ("light", "dark")):
        brand = {"primary": one, "accent": other, "background": other, "sidebar": one, "text": other}
        assert misses(derive(brand, mode)) == [], (brand, mode)


def test_misses_finds_unreadable_pairs() -> None:
    """The measure itself notices a pair that falls short."""
    tokens = derive({}, "light") | {"muted": "#cccccc"}
    assert {(miss.pair.front, miss.pair.ground) for miss in misses(tokens)} == {
        ("muted", ground) for ground in ("bg", "surface", "sunken", "hover")
    }


@given(colors)
def test_brand_fills_are_worn_as_pushed(color: str) -> None:
    """In light pages the pushed primary and sidebar are used to the digit."""
    tokens = derive({"primary": color, "sidebar": color}, "light")
    assert (tokens["primary"], tokens["side"]) == (color, color)


@given(colors)
def test_text_on_any_fill(color: str) -> None:
    """There is always a text colour with 4.5:1 on a fill."""
    assert contrast(on(color), color) >= 4.5


@given(colors, colors)
def test_reach_keeps_a_readable_colour(color: str, ground: str) -> None:
    """A colour that has the ratio stays itself; another one reaches it if any lightness allows it."""
    found = reach(color, [ground], 3.0)
    if contrast(color, ground) >= 3.05:
        assert found == color
    assert contrast(found, ground) >= 3.0


@given(colors)
def test_oklch_returns(color: str) -> None:
    """A colour taken to OKLCH and back is the same colour."""
    assert hex_of(*oklch(color)) == color


def test_capital_digits_are_the_same_colour() -> None:
    """Payloads may contain capital hex digits."""
    assert derive({"primary": "#AABBCC"}, "light") == derive({"primary": "#aabbcc"}, "light")


def test_dark_background_makes_dark_the_default() -> None:
    """Only a pushed dark background turns a tenant's pages dark for those who did not choose."""
    assert prefers_dark({"background": "#101418"})
    assert not prefers_dark({"background": "#f0f0f0"})
    assert not prefers_dark({})


def test_sheet_contains_every_token_once() -> None:
    """The sheet sets each token once, for both modes, with nothing in it but hex colours."""
    sheet = theme_sheet({"primary": "#ffe600"})
    declared = re.findall(r"--([a-z-]+):(?:light-dark\(#[0-9a-f]{6},#[0-9a-f]{6}\)|#[0-9a-f]{6})[;}]", sheet)
    assert declared == list(derive({}, "light"))
    assert len(sheet) < 4096

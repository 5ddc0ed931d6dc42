from __future__ import annotations

import pytest

from crm_core.model.text_types import plain_integer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("12", 12),
        ("-5", -5),
        ("100", 100),
        ("101", None),
        ("-6", None),
        ("9" * 5000, None),
        ("\u0663", None),
        ("\u00b2", None),
        ("1_0", None),
        (" 1", None),
        ("1\n", None),
        ("+1", None),
        ("--1", None),
        ("-", None),
        ("", None),
        ("1.0", None),
    ],
)
def test_a_whole_number_is_written_with_ascii_digits(text: str, number: int | None) -> None:
    """Within its bounds; other scripts' digits, signs, spaces and endless digits are none."""
    assert plain_integer(text, least=-5, most=100) == number

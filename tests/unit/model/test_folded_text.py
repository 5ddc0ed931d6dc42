from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.model.folded_text import caseless, composed, folded, is_visible, one_line, sort_key


@pytest.mark.parametrize(
    "around", [" ", "\t\n", "\u00a0", "\u202f", "\u3000", "\u200b", "\ufeff", "\u2060\u200d", "\u200e \u00ad"]
)
def test_blank_ends_of_a_line_are_dropped(around: str) -> None:
    """White space, no-break and zero-width characters go at both ends; those inside stay."""
    assert one_line(f"{around}A{around}B{around}") == f"A{around}B"


@given(st.text())
def test_a_cleaned_line_is_clean(text: str) -> None:
    """It is in normal form C, and cleaning it again changes nothing."""
    once = one_line(text)
    assert unicodedata.is_normalized("NFC", once)
    assert one_line(once) == once


@pytest.mark.parametrize("marks", ["\u0315\u0300", "\u0315\uff9e", "\u0f73\u0300", "\u0344\u0315"])
def test_a_long_text_has_no_long_run_of_marks(marks: str) -> None:
    """Sorting a run takes time with the square of its length: 200,000 marks would take a minute."""
    for cleaned in (one_line("a" + marks * 1000), composed("a" + marks * 1000)):
        runs = re.split(r"\u034f", unicodedata.normalize("NFKD", cleaned))
        assert max(map(len, runs)) <= 61  # 30, each of which may be two
        assert unicodedata.is_normalized("NFC", cleaned)


@pytest.mark.parametrize("text", ["\u2500" * 600, "na\u00efve \u2014 " * 200, "\u0e01\u0e33" * 300])
def test_a_long_text_without_such_runs_stays(text: str) -> None:
    """Lines of signs, accents and vowel signs are what people write."""
    assert composed(text) == text


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\u2800", "\u3164", "\u0301", "\u00ad\u2060"])
def test_what_shows_nothing_is_invisible(text: str) -> None:
    """Spaces, format characters, lone accents and blank letters show nothing."""
    assert not is_visible(text)
    assert is_visible(f"{text}x")


@given(st.text())
def test_case_and_normal_form_do_not_count(text: str) -> None:
    """Every spelling of a text is the same for filters, and for sorting and searching."""
    for other in (unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text)):
        assert caseless(other) == caseless(text)
        assert folded(other) == folded(text)
    assert caseless(text.upper()) == caseless(text.upper().lower())


def test_sorting_ignores_case_and_accents_first() -> None:
    """Among texts that differ in nothing else, code points decide."""
    names = ["b", "\u00c1b", "Ab", "ab", "\u00e1b", "aa", "\u0142z", "La"]
    assert sorted(names, key=sort_key) == ["aa", "Ab", "ab", "\u00c1b", "\u00e1b", "b", "La", "\u0142z"]

from __future__ import annotations

import pytest

from crm_core.records.search_words import folded, index_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada Lovelace", ("ada", "lovelace")),
        ("Åsa Öberg-Müller", ("asa", "oberg", "muller")),
        ("STRASSE straße", ("strasse", "strasse")),
        ("ada@example.com", ("ada", "example", "com")),
        ("snake_case", ("snake", "case")),
        ("東京 タワー", ("東京", "タワー")),
        ("  !? ", ()),
    ],
)
def test_words_are_cut_and_folded(text: str, words: tuple[str, ...]) -> None:
    """Case and accents are removed; punctuation and spaces separate words."""
    assert folded(text) == words


def test_a_telephone_number_is_found_by_its_digits_too() -> None:
    """Gaps in a number do not hide it from those who type none."""
    assert "493012345" in index_words(["+49 30 123-45"])
    assert index_words(["Room 12 34"]) == ("room", "12", "34")


def test_a_word_stands_once() -> None:
    """A word in several members is indexed once, and unset members have none."""
    assert index_words(["Ada", None, "ada@ada.example", ""]) == ("ada", "example")

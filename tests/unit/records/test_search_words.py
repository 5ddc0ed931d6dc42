from __future__ import annotations

import unicodedata

import pytest

from crm_core.plugin.query import Term
from crm_core.records.search_words import same_number, search_terms, search_values


def finds(q: str, text: str, phone: str = "") -> bool:
    """Whether a record with this name and phone is found."""
    values = search_values([text, phone or None], [phone or None])

    def met(term: Term, value: str) -> bool:
        if term.prefix is not None and value.startswith(term.prefix):
            return True
        return term.inside is not None and value.startswith(term.inside[0]) and term.inside[1] in value

    return all(any(met(term, value) for value in values) for term in search_terms(q))


@pytest.mark.parametrize(
    ("q", "text"),
    [
        ("love ada", "Ada Lovelace"),
        ("muller", "\u00c5sa \u00d6berg-M\u00fcller"),
        ("STRASSE", "stra\u00dfe"),
        ("stra\u00dfe", "STRASSE"),
        ("lukasz zolc", "\u0141ukasz \u017b\u00f3\u0142\u0107"),
        ("sorensen", "S\u00f8rensen"),
        ("dordevic", "\u0110or\u0111evi\u0107"),
        ("aegir", "\u00c6gir"),
        ("istanbul", "\u0130stanbul"),
        ("isik", "I\u015f\u0131k"),
        ("example", "ada@example.com"),
        ("50_50", "50_50 Shop"),
        ("\u4eac\u30bf", "\u6771\u4eac\u30bf\u30ef\u30fc"),
        ("\u592a\u90ce ltd", "\u5c71\u7530\u592a\u90ce Ltd"),
        ("\uc6d0", "\ub0a8\uc6d0\uc2dc"),
        ("?!", "What?!"),
        ("%", "100% Cotton"),
        ("& @", "a & @ b"),
        ("\U0001f600", "Ada \U0001f600"),
    ],
)
def test_a_text_is_found_however_it_is_written(q: str, text: str) -> None:
    """Case, accents, strokes and normal form do not count; words begin, runs and signs are contained."""
    assert finds(q, text)
    assert finds(unicodedata.normalize("NFD", q), text)
    assert finds(q, unicodedata.normalize("NFD", text))


@pytest.mark.parametrize(
    ("q", "text"),
    [
        ("opper", "Hopper"),
        ("%", "Cotton"),
        ("_", "Plain"),
        ("!?", "What?!"),
        ("\u4eac\u6771", "\u6771\u4eac"),
        ("ada bob", "Ada"),
    ],
)
def test_other_texts_are_not_found(q: str, text: str) -> None:
    """The inside of a word, absent signs, and another order of signs find nothing."""
    assert not finds(q, text)


@pytest.mark.parametrize(
    "q",
    [
        "1234567",
        "07111234567",
        "+49 711 1234567",
        "0049 711 123-4567",
        "+49 (0) 711 1234567",
        "+49 (0711) 123",
        "711 1234",
        "ada 1234",
        "0711",
        "ada 0711",
        "00711",
        "0049",
    ],
)
@pytest.mark.parametrize("phone", ["+49 (0711) 123-4567", "+49 711 1234567", "0049 711 1234567", "+49 (0) 711/1234567"])
def test_a_phone_is_found_by_any_four_digits_of_it(q: str, phone: str) -> None:
    """However number and query are grouped, and with or without the digits that only dialling needs."""
    assert finds(q, "Ada", phone)


def test_zeros_alone_are_a_number_too() -> None:
    """A search for zeros finds numbers with them."""
    assert finds("(0000)", "Ada", "+1 0000 5")
    assert not finds("(0000)", "Ada", "+49 711 1234567")


def test_three_digits_are_a_word() -> None:
    """They find a word that begins with them, not the inside of a number."""
    assert finds("711", "Ada", "+49 711 1234567")
    assert not finds("234", "Ada", "+49 711 1234567")
    assert not finds("12345678", "Ada", "+49 711 1234567")
    assert finds("1234", "Order 12345")


@pytest.mark.parametrize("q", ["", "  ", "\u3000"])
def test_a_blank_search_has_no_terms(q: str) -> None:
    """It searches for nothing, so it hides nothing."""
    assert search_terms(q) == ()


def test_a_value_is_indexed_once() -> None:
    """A word in several members is indexed once, and unset members have none."""
    assert search_values(["Ada", None, "ada ada.example", ""]) == ("ada", "example", "~.")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("+49 (0) 551 1963", "0551-1963", True),
        ("0049 551 1963", "+49 551 1963", True),
        ("+44 20 7946 0000", "79460000", True),
        ("112", "112", True),
        ("112", "+49 551 112", False),
        ("+49 551 1963", "+49 551 1964", False),
    ],
)
def test_a_number_is_the_same_however_it_is_dialled(one: str, other: str, same: bool) -> None:
    """The codes of country and area may be missing in one of them; a short number is compared as a whole."""
    assert same_number(one, other) is same
    assert same_number(other, one) is same

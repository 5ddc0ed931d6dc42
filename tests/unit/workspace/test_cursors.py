from __future__ import annotations

import unicodedata
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.errors import InvalidCursor
from crm_core.model.folded_text import sort_key
from crm_core.workspace.cursors import Cursors

KEYS = [b"n" * 32, b"o" * 32]
positions = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.text(), positions)
def test_a_cursor_leads_back_to_its_position(context: str, position: Any) -> None:
    """Any plain JSON comes back, and the text fits in a URL."""
    cursors = Cursors(KEYS)
    made = cursors.make(context, position)
    assert cursors.read(context, made) == position
    assert set(made) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(st.text(), st.text(), positions)
def test_it_is_good_for_its_own_list_only(context: str, other: str, position: Any) -> None:
    """Another tenant, filter or sort is another list."""
    if context == other:
        return
    cursors = Cursors(KEYS)
    with pytest.raises(InvalidCursor):
        cursors.read(other, cursors.make(context, position))


@given(st.text(max_size=200))
def test_no_text_is_mistaken_for_one(text: str) -> None:
    """Any other text is refused cleanly."""
    with pytest.raises(InvalidCursor):
        Cursors(KEYS).read("list", text)


@given(st.data())
def test_an_edited_cursor_is_refused(data: st.DataObject) -> None:
    """Any one character."""
    cursors = Cursors(KEYS)
    made = cursors.make("list", ["a", 1])
    at = data.draw(st.integers(0, len(made) - 1))
    other = data.draw(st.sampled_from([character for character in "ABCabc019-_." if character != made[at]]))
    with pytest.raises(InvalidCursor):
        cursors.read("list", made[:at] + other + made[at + 1 :])


@pytest.mark.parametrize("spelling", ["{0}!", "{0}=", "{0}=!!", "{0} ", "{0}\n", "{0}\u00ff", " {0}", "{1}"])
def test_a_cursor_has_one_spelling(spelling: str) -> None:
    """Characters that base64 skips, padding and unused bits make another text, and that is refused."""
    cursors = Cursors(KEYS)
    made = cursors.make("list", ["a", 1])
    twin = chr(ord(made[-1]) + 1)  # differs in the two bits that base64 does not use
    with pytest.raises(InvalidCursor):
        cursors.read("list", spelling.format(made, made[:-1] + twin))


def test_a_cursor_of_a_long_filter_can_be_read() -> None:
    """It does not grow with the filters of its list."""
    cursors = Cursors(KEYS)
    made = cursors.make("filter" * 2000, 1)
    assert len(made) < 200
    assert cursors.read("filter" * 2000, made) == 1


def test_cursors_outlive_a_rotation_of_the_secret_key() -> None:
    """The newest key signs, each one reads, and a retired one no longer."""
    old, both, new = Cursors(KEYS[1:]), Cursors(KEYS), Cursors(KEYS[:1])
    assert both.read("list", old.make("list", 1)) == 1
    assert new.read("list", both.make("list", 2)) == 2
    with pytest.raises(InvalidCursor):
        new.read("list", old.make("list", 3))


def test_an_endless_cursor_is_not_even_read() -> None:
    """Its length alone refuses it."""
    cursors = Cursors(KEYS)
    with pytest.raises(InvalidCursor):
        cursors.read("list", cursors.make("list", Random(1).randbytes(4000).hex()))


def names_that_fold_long() -> list[str]:
    """Names of 200 characters whose sort keys are as long as names can make them."""
    expanding = [sign for sign in map(chr, range(0xA0, 0x30000)) if len(unicodedata.normalize("NFKD", sign)) > 2]
    longest = sorted(expanding, key=lambda sign: len(unicodedata.normalize("NFKD", sign)))
    random = Random(1)
    drawn = ["".join(random.choices(longest[-some:], k=200)) for some in (1, 2, 5, 20, 100, 400, len(longest))]
    return [*drawn, "".join(map(chr, random.choices(range(0x20000, 0x2A000), k=200))), "é" * 200]


@pytest.mark.parametrize("name", names_that_fold_long())
def test_a_record_of_any_name_has_a_cursor_that_is_accepted(name: str) -> None:
    """Its sort key may have 18 signs for one of the name; the cursor is no longer than one that is read."""
    cursors = Cursors(KEYS)
    position = [sort_key(name), "01a22aa3-e02e-723d-b316-6ae8219500d7"]
    made = cursors.make("list", position)
    assert cursors.read("list", made) == position

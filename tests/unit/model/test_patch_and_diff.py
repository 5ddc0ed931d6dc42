from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.model.canonical import canonical, sha256_of
from crm_core.model.diff import differences, pointer_to, same
from crm_core.model.patch import merge_patch

NAMES = st.text(max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_rfc_pass(target: Any, patch: Any, merged: Any) -> None:
    """Each test case of RFC 7396, appendix A, gives the result printed there."""
    assert merge_patch(target, patch) == merged


@given(VALUES, VALUES)
def test_a_patch_changes_neither_side(target: Any, patch: Any) -> None:
    """The section in effect and the payload stay as they were."""
    before = copy.deepcopy((target, patch))
    merge_patch(target, patch)
    assert (target, patch) == before


@given(VALUES)
def test_equal_values_have_no_differences(value: Any) -> None:
    """A push of what is there changes nothing and says so."""
    assert list(differences(value, copy.deepcopy(value))) == []


@given(VALUES, VALUES)
def test_each_difference_is_where_it_says(before: Any, after: Any) -> None:
    """Following a pointer on both sides leads to the two values that the row shows."""
    for change in differences(before, after):
        assert not same(change.before, change.after)
        for root, shown in ((before, change.before), (after, change.after)):
            for part in change.pointer.split("/")[1:]:
                root = (root or {}).get(part.replace("~1", "/").replace("~0", "~"))  # noqa: PLW2901 -- a walk
            assert root == shown


def test_a_change_reads_from_and_to_on_the_wire() -> None:
    """A row has the members of the protocol; a section that comes is reported member by member."""
    rows = [msgspec.to_builtins(change) for change in differences(None, {"title": "A"}, "/branding")]
    assert rows == [{"pointer": "/branding/title", "from": None, "to": "A"}]


def test_true_is_not_one() -> None:
    """A switch that turned from 1 to true has changed."""
    assert [change.pointer for change in differences({"a": 1}, {"a": True})] == ["/a"]


def test_pointers_escape_what_the_rfc_escapes() -> None:
    """Slash and tilde in a name survive the way into a pointer."""
    assert pointer_to("a/b", "~c", 3) == "/a~1b/~0c/3"


def test_the_hash_is_of_the_value_and_not_of_its_spelling() -> None:
    """Order of members and the spelling of numbers leave the hash alone."""
    assert canonical({"b": 1.0, "a": "\u20ac"}) == b'{"a":"\xe2\x82\xac","b":1}'
    assert sha256_of({"b": 1.0, "a": 2}) == sha256_of({"a": 2, "b": 1})

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.errors import SignatureMalformed
from crm_core.testing.signature import push_request, with_headers
from crm_rfc9421.fields import LONGEST_FIELD, ByteSequence, InnerList, Item, read_dictionary, written_list
from crm_rfc9421.scheme import MessageSignatures


@pytest.mark.parametrize(
    "text",
    ["", "a=", "a=(", "a=()x", "a=() b=()",
     "a=(),", ",", "a=(1 2", "a=(1,2)", "a=1,a=2", "a=1;b;b", "A=1", 'a="\\n"', 'a="ä"',
     "a=1234567890123456", "a=1.", "a=@1", "a=:!:", "a=:A:", "a=:AAAA=:", "a=?2",
     "a=-", "a=((1))", "a=(" + "1 " * 65 + ")", "a=" + "1" * 9000, "a\n=1"],
)  # fmt: skip
def test_fields_that_do_not_parse_are_malformed(text: str) -> None:
    """A text that is no dictionary, is ambiguous or is too long is malformed."""
    with pytest.raises(SignatureMalformed):
        MessageSignatures().read(with_headers(push_request(), {"signature-input": text, "signature": "a=:AAAA:"}))


@given(text=st.text(alphabet='ab=(); ",:?0129.-*\\\t', max_size=40))
def test_what_parses_is_written_in_one_way(text: str) -> None:
    """A list that is written and read again is the same list."""
    try:
        members = read_dictionary(text, "test")
    except SignatureMalformed:
        return
    for member in members.values():
        if isinstance(member, InnerList):
            written = written_list(member)
            again = read_dictionary(f"a={written}", "test")["a"]
            assert again == member
            assert isinstance(again, InnerList)
            assert written_list(again) == written


def test_members_are_read_as_they_are_written() -> None:
    """A name alone is true and keeps its parameters, a byte sequence keeps its characters, no member is no error."""
    assert read_dictionary("a;b=1, c", "test") == {
        "a": Item(value=True, parameters={"b": 1}),
        "c": Item(value=True, parameters={}),
    }
    assert read_dictionary("a=:AAAX:", "test") == {"a": Item(value=ByteSequence("AAAX"), parameters={})}
    assert read_dictionary("", "test") == {}


@pytest.mark.parametrize("text", ["\ta=1", "Xa=1", "a=1X"])
def test_only_spaces_around_a_dictionary_are_dropped(text: str) -> None:
    """Spaces before and after a dictionary do not count (RFC 8941, 4.2); other characters are malformed."""
    assert read_dictionary(" a=1 ", "test")["a"].parameters == {}
    with pytest.raises(SignatureMalformed):
        read_dictionary(text, "test")


def test_a_field_has_a_longest_length() -> None:
    """A field of the longest length is read; one more character is malformed."""
    longest = 'a="' + "x" * (LONGEST_FIELD - 4) + '"'
    assert len(longest) == LONGEST_FIELD
    assert read_dictionary(longest, "test")
    with pytest.raises(SignatureMalformed):
        read_dictionary(f"{longest} ", "test")

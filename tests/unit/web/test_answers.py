from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.web.answers import etag_of, names

TAG = etag_of(b"content")


@given(st.binary(), st.binary())
def test_tags_are_strong_and_of_the_content(one: bytes, other: bytes) -> None:
    """Quoted, without the mark of a weak one; equal exactly for equal content."""
    tag = etag_of(one)
    assert tag[0] == tag[-1] == '"'
    assert (tag == etag_of(other)) is (one == other)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (None, False),
        ("", False),
        ("*", True),
        (TAG, True),
        (f"W/{TAG}", True),
        (f'"a", W/"b" ,{TAG}', True),
        (TAG.strip('"'), False),
        (f"{TAG}x", False),
        (f"w/{TAG}", False),
        ('"a", "b"', False),
    ],
)
def test_if_none_match_is_read_as_http_says(header: str | None, named: bool) -> None:
    """A list of tags, weak or strong, or any (RFC 9110, section 13.1.2)."""
    assert names(header, TAG) is named

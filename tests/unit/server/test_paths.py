from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.server.paths import refused


@pytest.mark.parametrize(
    "path",
    [b"/", b"/healthz", b"/i/eu1/t/northwind/api/v1/customers", b"/i/eu1/t/n/", b"/a%20b", b"/%C3%A9", b"/a.b", b"/..a",
     b"/a..", b"/.well-known/x", b"/...", b"/a%3Fb", "/é".encode()],
)  # fmt: skip
def test_ordinary_paths_pass(path: bytes) -> None:
    """A path that every proxy reads alike is let through."""
    assert refused(path) is None


@pytest.mark.parametrize(
    ("path", "word"),
    [
        (b"", "start"), (b"*", "start"), (b"a/b", "start"),
        (b"//a", "empty"), (b"/a//b", "empty"), (b"/a//", "empty"),
        (b"/a%2fb", "encoded slash"), (b"/a%2Fb", "encoded slash"),
        (b"/./a", "dot"), (b"/a/.", "dot"), (b"/a/..", "dot"), (b"/a/../b", "dot"), (b"/%2e%2E/b", "dot"),
        (b"/a/.%2e", "dot"), (b"/a/..;x=1/b", "dot"),
        (b"/a\\b", "backslash"), (b"/a%5Cb", "backslash"), (b"/a%5cb", "backslash"),
        (b"/a\x00", "control"), (b"/a%00", "control"), (b"/a%0d%0aB", "control"), (b"/a\x7f", "control"),
        (b"/a%7F", "control"), (b"/%C2%85", "control"),
        (b"/%", "percent"), (b"/%4", "percent"), (b"/%zz", "percent"), (b"/a%2", "percent"),
        (b"/%ff", "UTF-8"), (b"/%C0%AF", "UTF-8"), (b"/%ED%A0%80", "UTF-8"), (b"/\xff", "UTF-8"),
    ],
)  # fmt: skip
def test_paths_that_two_readers_see_differently_are_refused(path: bytes, word: str) -> None:
    """Each trick is refused with a sentence that names it."""
    sentence = refused(path)
    assert sentence is not None
    assert word in sentence


@given(st.binary(max_size=40))
def test_a_passed_path_is_utf8_without_traps(tail: bytes) -> None:
    """A path that passes has no escape that decodes to a slash, and no segment that moves."""
    from urllib.parse import unquote_to_bytes

    path = b"/" + tail
    if refused(path) is None:
        plain = unquote_to_bytes(path)
        plain.decode()
        assert plain.count(b"/") == path.count(b"/")
        assert not {b"..", b"."} & set(plain.split(b"/"))
        assert b"\\" not in plain

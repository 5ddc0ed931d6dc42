from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.errors import MalformedJson
from crm_core.model.strict_json import MAX_DEPTH, loads

SIZE = 256 * 1024
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@given(VALUES)
def test_plain_json_comes_through_unchanged(value: Any) -> None:
    """Texts that the standard library writes, escaped or not, are read back equal."""
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@given(VALUES)
def test_the_same_value_however_it_is_written(value: Any) -> None:
    """Types too: with and without white space, as the shortest text and as another one."""
    compact = msgspec.json.encode(value)
    for raw in (compact, msgspec.json.format(compact), b" " + json.dumps(value).encode() + b"\r\n"):
        assert repr(loads(raw)) == repr(json.loads(raw))


@given(st.binary(max_size=12) | st.text('[]{}":,0123456789.e-\\\t\xe9u', max_size=12).map(str.encode))
def test_only_what_the_standard_library_reads_gets_in(raw: bytes) -> None:
    """Random bytes are refused or have its value."""
    try:
        value = loads(raw)
    except MalformedJson:
        return
    assert repr(value) == repr(json.loads(raw.decode()))


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"{} {}", "not JSON"),
        (b"{}\0", "not JSON"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":1,"a":2}', "twice"),
        (b'{"a":1,"\\u0061":2}', "twice"),
        (b'[{"b":{"":1,"":1}}]', "twice"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"1e999", "too large"),
        (b"-1e309", "too large"),
        (b"9" * 400, "too large"),
        (b"9" * 309, "too large"),
        (b"[" * 33 + b"]" * 33, "deeper"),
        (b"[" * 100_000, "deeper"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udc00x":1}', "surrogate"),
        (b'"\\u0000"', "U+0000"),
        (b'{"\\\\\\u0000":1}', "U+0000"),
        (b'"\t"', "not JSON"),
        (b"[1,]", "not JSON"),
        (b"01", "not JSON"),
        (b"'a'", "not JSON"),
        (b"", "is empty"),
        (b" \n", "is empty"),
    ],
    ids=lambda value: value[:24] if isinstance(value, bytes) else value,
)
def test_what_parsers_read_differently_is_refused_with_a_reason(raw: bytes, word: str) -> None:
    """Every form that could mean two things is a MalformedJson that names its cause."""
    with pytest.raises(MalformedJson, match=word.replace("+", r"\+")):
        loads(raw)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'"\\\\u0000"', "\\u0000"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"1" * 308, int("1" * 308)),
        (b"-1" + b"0" * 308, -(10**308)),
    ],
    ids=["escaped backslash", "surrogate pair", "308 digits", "309 digits with a sign"],
)
def test_what_only_looks_wrong_is_taken(raw: bytes, value: Any) -> None:
    """An escaped backslash before u0000, a whole pair and a number that fits a double are fine."""
    assert loads(raw) == value


def test_nesting_to_the_limit_is_taken() -> None:
    """Thirty-two levels are in, the thirty-third is not."""
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None


@pytest.mark.parametrize("inner", [b"[[]]", b'{"a":[]}', b'[{"a":1},[2]]'])
def test_the_deepest_of_many_neighbours_counts(inner: bytes) -> None:
    """Shallow values before and after one of 32 levels do not matter, and one level more is refused."""
    deep = b"[" * 29 + inner + b"]" * 29
    json = b"[" + b"[[]]," * 50 + deep + b",[[]]" * 50 + b"]"
    assert len(loads(json)) == 101
    with pytest.raises(MalformedJson, match="deeper"):
        loads(b"[" + json + b"]")


@pytest.mark.parametrize("text", [b"]", b"[[", b'\\"]', b"\\\\", b'}\\\\\\"{', b"\\u005d", b"", b"\\\\\\\\]"])
def test_brackets_in_texts_neither_deepen_nor_flatten(text: bytes) -> None:
    """With texts that contain brackets, quotes and backslashes at every level the limit is where it is without."""
    two, end, times = b'{"%s":["%s",' % (text, text), b',"%s"]}' % text, MAX_DEPTH // 2
    assert loads(two * times + b"0" + end * times) is not None
    with pytest.raises(MalformedJson, match="deeper"):
        loads(two * times + b"[]" + end * times)


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * SIZE,
        b"[" + b"[]," * (SIZE // 3) + b"[]]",
        b"[" + (b"[" * 31 + b"]" * 31 + b",") * (SIZE // 63) + b'"\\ud800"]',
        b'{"a":' * (SIZE // 5),
        b'"' + b"\\" * SIZE,
        b'["' + b"\\\\" * (SIZE // 2) + b'\\u0000"]',
        b"[" + b"1," * (SIZE // 2) + b"1]",
        b"-" * SIZE,
        b"9" * SIZE,
        b"[" + b"9" * 4000 + b"," + b"1e308," * (SIZE // 7) + b"1]",
        b"{" + b",".join(b'"%d":0' % i for i in range(25_000)) + b',"7":1}',
    ],
    ids=lambda raw: raw[:12],
)
def test_a_hostile_body_is_answered_in_time(raw: bytes) -> None:
    """No 256 KiB of anything keeps the door busy for long: linear work only."""
    started = time.process_time()
    with contextlib.suppress(MalformedJson):
        loads(raw)
    assert time.process_time() - started < 1

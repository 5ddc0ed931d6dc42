"""The signature base byte for byte: every kind of value as RFC 8941 serializes it, headers, digests, the clock."""

from __future__ import annotations

import base64
import hashlib

import msgspec
import pytest

from crm_core.errors import SignatureMalformed
from crm_core.testing.signature import KEY, NONCE, TIMESTAMP, push_request, with_headers
from crm_rfc9421.base import signature_base
from crm_rfc9421.fields import ByteSequence, InnerList, Item, Token, read_dictionary, written_list
from crm_rfc9421.scheme import MessageSignatures


def read(text: str) -> InnerList:
    member = read_dictionary(f"a={text}", "test")["a"]
    assert isinstance(member, InnerList)
    return member


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("7", 7, "7"),
        ("-7", -7, "-7"),
        ("1.5", Token("1.5"), "1.5"),
        ("01.50", Token("1.5"), "1.5"),
        ("-12.100", Token("-12.1"), "-12.1"),
        ("1.000", Token("1.0"), "1.0"),
        ("-0.0", Token("0.0"), "0.0"),
        ('"a b"', "a b", '"a b"'),
        (r'"a\"b\\c"', 'a"b\\c', r'"a\"b\\c"'),
        ("?1", True, "?1"),
        ("?0", False, "?0"),
        ("tok/en", Token("tok/en"), "tok/en"),
        (":AA==:", ByteSequence("AA"), ":AA==:"),
        (":AAA=:", ByteSequence("AAA"), ":AAA=:"),
        (":AAAA:", ByteSequence("AAAA"), ":AAAA:"),
        (":AA:", ByteSequence("AA"), ":AA==:"),
    ],
)
def test_each_kind_of_value_is_read_and_written(text: str, value: object, written: str) -> None:
    """An item has the value of the field; written again it is in its one canonical form."""
    found = read(f"( {text}  )")
    assert found == InnerList((Item(value, {}),), {})  # type: ignore[arg-type]
    assert type(found.items[0].value) is type(value)
    assert written_list(found) == f"({written})"


def test_parameters_are_written_in_order() -> None:
    """A true parameter is written as its name alone, a false one with its value."""
    text = '("a";x;y=?0 "b");z=?1;created=1;n="q\\"";t=tok;b=:AA==:;d=1.5'
    assert written_list(read(text)) == '("a";x;y=?0 "b");z;created=1;n="q\\"";t=tok;b=:AA==:;d=1.5'


def test_the_base_has_header_values_as_sent() -> None:
    """Only blanks around a value are removed; a no-break space belongs to it, as any byte of latin-1."""
    request = with_headers(push_request(), {"x-note": " \t\xa0caf\xe9\xa0\t "})
    covered = read('("x-note")')
    assert signature_base(request, covered) == '"x-note": \xa0caf\xe9\xa0\n"@signature-params": ("x-note")'.encode(
        "latin-1"
    )


def test_a_refusal_names_the_field_and_the_fault() -> None:
    """Each says in which field it is, and what is wrong, in a sentence."""
    for text, words in (
        ("a=(1 2", "x is not a Structured Fields dictionary: a list without its end at character 6."),
        ("a=(" + "1 " * 65 + ")", "x is not a Structured Fields dictionary: more than 64 members at character 131."),
        ("a=@", "x is not a Structured Fields dictionary: an invalid value at character 2."),
    ):
        with pytest.raises(SignatureMalformed) as caught:
            read_dictionary(text, "x")
        assert caught.value.detail == words


def digest(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def test_a_digest_that_is_there_already_is_covered_as_it_is() -> None:
    """Signing adds no second Content-Digest, and the result verifies."""
    scheme, plain = MessageSignatures(), push_request()
    given = with_headers(
        plain, {"content-digest": f"sha-512=:{base64.b64encode(hashlib.sha512(plain.body).digest()).decode()}:"}
    )
    headers = scheme.sign(given, KEY, 2, TIMESTAMP, NONCE)
    assert set(headers) == {"Signature-Input", "Signature"}
    request = with_headers(given, headers)
    assert scheme.matches(request, scheme.read(request), KEY)


@pytest.mark.parametrize(("second", "matching"), [("right", True), ("wrong", False)])
def test_every_line_of_the_digest_counts(second: str, matching: bool) -> None:
    """Several Content-Digest fields are one dictionary: each digest in it must fit the body."""
    scheme, plain = MessageSignatures(), push_request()
    sha512 = hashlib.sha512(plain.body if second == "right" else b"other").digest()
    lines = (
        ("content-digest", f"sha-256=:{digest(plain.body)}:"),
        ("content-digest", f"sha-512=:{base64.b64encode(sha512).decode()}:"),
    )
    given = msgspec.structs.replace(plain, headers=plain.headers + lines)
    request = with_headers(given, scheme.sign(given, KEY, 2, TIMESTAMP, NONCE))
    assert scheme.matches(request, scheme.read(request), KEY) is matching


def test_the_first_second_is_a_timestamp() -> None:
    """``created=0`` is well-formed; that it is too old is for the window to say."""
    scheme, plain = MessageSignatures(), push_request()
    request = with_headers(plain, scheme.sign(plain, KEY, 2, 0, NONCE))
    assert scheme.read(request).timestamp == 0


def test_every_signature_verifies() -> None:
    """The last characters of a signature, which unpadded base64 could confuse, make no difference."""
    scheme, plain = MessageSignatures(), push_request()
    ends = set()
    for number in range(200):
        headers = scheme.sign(plain, KEY, 2, TIMESTAMP, f"nonce-{number:020d}")
        request = with_headers(plain, headers)
        assert scheme.matches(request, scheme.read(request), KEY)
        ends.add(headers["Signature"].rstrip(":=")[-1])
    assert len(ends) > 10

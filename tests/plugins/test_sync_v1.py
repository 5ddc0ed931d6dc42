from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.errors import SignatureMalformed, SignatureMissing
from crm_core.plugin.signature import SignedRequest
from crm_core.testing.signature import SchemeSuite
from crm_sync_v1.scheme import NativeScheme

KEY = bytes(range(1, 33))
CASES = json.loads((Path(__file__).parent / "vectors" / "crm-sync-v1.json").read_text())["cases"]


class TestNativeScheme(SchemeSuite):
    scheme_class = NativeScheme


def request(headers: list[tuple[str, str]], **members: Any) -> SignedRequest:
    """A push of branding to northwind with these headers."""
    told = {"body": b"{}", "instance": "eu1", "tenant": "northwind", "payload_type": "branding", **members}
    return SignedRequest(
        method="POST",
        path="/i/eu1/t/northwind/api/v1/sync/branding",
        query=None,
        authority="localhost",
        headers=tuple(headers),
        **told,
    )


def signed(**members: Any) -> list[tuple[str, str]]:
    """The headers of a good push."""
    made = NativeScheme().sign(request([], **members), KEY, 2, 1_790_000_000, "n" * 16)
    return [(name.lower(), value) for name, value in made.items()]


def replaced(name: str, value: str) -> list[tuple[str, str]]:
    """The headers of a good push with one value changed."""
    return [(header, value if header == name else old) for header, old in signed()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vectors_made_by_others_are_reproduced(case: dict[str, Any]) -> None:
    """Signed text, headers and verification agree with signatures made by openssl."""
    scheme = NativeScheme()
    headers = [(name.lower(), value) for name, value in case["headers"].items()]
    told = request(
        headers,
        body=case["body"].encode(),
        instance=case["instance"],
        tenant=case["tenant"],
        payload_type=case["payload_type"],
    )
    key, presented = bytes.fromhex(case["key_hex"]), scheme.read(told)
    assert scheme.signed_text(told, presented).decode() == case["signed_text"]
    assert scheme.matches(told, presented, key)
    assert scheme.sign(told, key, case["key_version"], case["timestamp"], case["nonce"]) == case["headers"]


@pytest.mark.parametrize(
    "change", [{"body": b"{ }"}, {"instance": "us2"}, {"tenant": "contoso"}, {"payload_type": "smtp"}], ids=str
)
def test_a_signature_holds_for_one_request_only(change: dict[str, Any]) -> None:
    """Another body, instance, tenant or payload type under the same headers does not match."""
    scheme, other = NativeScheme(), request(signed(), **change)
    assert not scheme.matches(other, scheme.read(other), KEY)


def test_another_key_does_not_match() -> None:
    """Only the key that signed verifies."""
    told = request(signed())
    assert not NativeScheme().matches(told, NativeScheme().read(told), KEY[::-1])


def test_one_good_entry_among_others_is_enough() -> None:
    """Entries of other versions, foreign and malformed ones never hide the one that matches."""
    good = dict(signed())["sync-signature"]
    told = request(replaced("sync-signature", f"v2=abc, v1=zz ,v1={'0' * 64}, {good}"))
    assert NativeScheme().matches(told, NativeScheme().read(told), KEY)


@pytest.mark.parametrize("name", NativeScheme.HEADERS)
def test_each_header_must_stand_once(name: str) -> None:
    """A header that is absent is missing, one that is repeated is malformed."""
    with pytest.raises(SignatureMissing):
        NativeScheme().read(request([pair for pair in signed() if pair[0] != name]))
    with pytest.raises(SignatureMalformed):
        NativeScheme().read(request([*signed(), (name, "1")]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sync-timestamp", "+1790000000"),
        ("sync-timestamp", "01790000000"),
        ("sync-timestamp", "1790000000.0"),
        ("sync-timestamp", "１７９０００００００"),  # noqa: RUF001 -- digits, but not ASCII ones
        ("sync-timestamp", "9" * 16),
        ("sync-timestamp", ""),
        ("sync-key-version", "two"),
        ("sync-nonce", "n" * 15),
        ("sync-nonce", "n" * 129),
        ("sync-nonce", "n" * 16 + "\n"),
        ("sync-signature", "v1=" + "A" * 64),
        ("sync-signature", "v1=" + "0" * 63),
        ("sync-signature", ",".join(["v1=" + "0" * 64] * 17)),
    ],
)
def test_a_header_in_the_wrong_form_is_malformed(name: str, value: str) -> None:
    """Each header takes exactly the form the protocol gives it."""
    with pytest.raises(SignatureMalformed):
        NativeScheme().read(request(replaced(name, value)))


@given(st.lists(st.tuples(st.sampled_from(NativeScheme.HEADERS), st.text()), max_size=6))
def test_whatever_the_headers_hold_the_refusal_is_ours(headers: list[tuple[str, str]]) -> None:
    """Arbitrary header values lead to one of the two errors or to a signature that does not match."""
    told = request(headers)
    try:
        presented = NativeScheme().read(told)
    except (SignatureMalformed, SignatureMissing):
        return
    assert not NativeScheme().matches(told, presented, KEY)

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
    members = {"body": b"{}", "instance": "eu1", "tenant": "northwind", "payload_type": "branding", **members}
    return SignedRequest(
        method="POST",
        path="/i/eu1/t/northwind/api/v1/sync/branding",
        query=None,
        authority="localhost",
        headers=tuple(headers),
        **members,
    )


def signed(**members: Any) -> list[tuple[str, str]]:
    """The headers of a valid push."""
    headers = NativeScheme().sign(request([], **members), KEY, 2, 1_790_000_000, "n" * 16)
    return [(name.lower(), value) for name, value in headers.items()]


def replaced(name: str, value: str) -> list[tuple[str, str]]:
    """The headers of a valid push with one value replaced."""
    return [(header, value if header == name else old) for header, old in signed()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_independent_vectors_are_reproduced(case: dict[str, Any]) -> None:
    """Signed text, headers and verification agree with signatures made by openssl."""
    scheme = NativeScheme()
    headers = [(name.lower(), value) for name, value in case["headers"].items()]
    push = request(
        headers,
        body=case["body"].encode(),
        instance=case["instance"],
        tenant=case["tenant"],
        payload_type=case["payload_type"],
    )
    key, presented = bytes.fromhex(case["key_hex"]), scheme.read(push)
    assert scheme.signed_text(push, presented).decode() == case["signed_text"]
    assert scheme.matches(push, presented, key)
    assert scheme.sign(push, key, case["key_version"], case["timestamp"], case["nonce"]) == case["headers"]


@pytest.mark.parametrize(
    "change", [{"body": b"{ }"}, {"instance": "us2"}, {"tenant": "contoso"}, {"payload_type": "smtp"}], ids=str
)
def test_a_signature_is_valid_for_one_request_only(change: dict[str, Any]) -> None:
    """Another body, instance, tenant or payload type with the same headers does not match."""
    scheme, other = NativeScheme(), request(signed(), **change)
    assert not scheme.matches(other, scheme.read(other), KEY)


def test_another_key_does_not_match() -> None:
    """A signature does not match under another key."""
    push = request(signed())
    assert not NativeScheme().matches(push, NativeScheme().read(push), KEY[::-1])


def test_one_good_entry_among_others_is_enough() -> None:
    """A matching entry is found among entries of other versions, other keys and malformed ones."""
    good = dict(signed())["sync-signature"]
    push = request(replaced("sync-signature", f"v2=abc, v1=zz ,v1={'0' * 64}, {good}"))
    assert NativeScheme().matches(push, NativeScheme().read(push), KEY)


@pytest.mark.parametrize("name", NativeScheme.HEADERS)
def test_each_header_is_required_once(name: str) -> None:
    """An absent header is SignatureMissing, a repeated one SignatureMalformed."""
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
        ("sync-key-version", "02"),
        ("sync-key-version", "+2"),
        ("sync-nonce", "n" * 15),
        ("sync-nonce", "n" * 129),
        ("sync-nonce", "n" * 16 + "\n"),
        ("sync-signature", "v1=" + "A" * 64),
        ("sync-signature", "v1=" + "0" * 63),
        ("sync-signature", ",".join(["v1=" + "0" * 64] * 17)),
    ],
)
def test_a_header_in_the_wrong_form_is_malformed(name: str, value: str) -> None:
    """A header in any form but the protocol's is malformed, and the refusal begins with its name."""
    with pytest.raises(SignatureMalformed) as refused:
        NativeScheme().read(request(replaced(name, value)))
    assert refused.value.detail.startswith(f"{name.title()} ")


@given(st.lists(st.tuples(st.sampled_from(NativeScheme.HEADERS), st.text()), max_size=6))
def test_any_header_values_are_refused_by_name(headers: list[tuple[str, str]]) -> None:
    """Any header values give one of two errors, or a signature that does not match."""
    push = request(headers)
    try:
        presented = NativeScheme().read(push)
    except (SignatureMalformed, SignatureMissing):
        return
    assert not NativeScheme().matches(push, presented, KEY)


@pytest.mark.parametrize("values", ["{good},{bad}", "{bad},{good}", "{bad}, v2=x,{good} ,\t{bad}", "{good},v9=\xa0"])
def test_one_entry_that_matches_is_enough(values: str) -> None:
    """It counts in any place, with or without blanks around it; entries of other versions are passed over."""
    good = dict(signed())["sync-signature"]
    push = request(replaced("sync-signature", values.format(good=good, bad="v1=" + "0" * 64)))
    scheme = NativeScheme()
    assert scheme.matches(push, scheme.read(push), KEY)


@pytest.mark.parametrize("sign", ["\xa0", "X"])
def test_a_no_break_space_is_no_blank(sign: str) -> None:
    """Only space and tab may be around an entry."""
    push = request(replaced("sync-signature", sign + dict(signed())["sync-signature"]))
    with pytest.raises(SignatureMalformed):
        NativeScheme().read(push)

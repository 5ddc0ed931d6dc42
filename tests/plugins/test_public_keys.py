"""Ed25519 in the two schemes that verify it, and the components of RFC 9421 that name the address."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from crm_core.errors import AmbiguousSignature, SignatureIncomplete, SignatureMalformed
from crm_core.model.ed25519 import public_key_of, public_key_problem, sign
from crm_core.model.keys import Key
from crm_core.plugin.signature import SignedRequest
from crm_core.testing.signature import KEY, NONCE, OTHER_KEY, TIMESTAMP, accepts, push_request, with_headers
from crm_rfc9421.base import signature_base
from crm_rfc9421.fields import InnerList, read_dictionary
from crm_rfc9421.scheme import MessageSignatures
from crm_standard_webhooks.scheme import SVIX, StandardWebhooks

PUBLIC = Key(2, public_key_of(KEY), kind="public")
SECRET = Key(2, KEY)
PARAMETERS = f';created={TIMESTAMP};keyid="northwind:2";nonce="{NONCE}"'
SCHEMES = [StandardWebhooks(), MessageSignatures()]
_SMALL = (  # every encoding of a point whose order divides 8, those of y and of y + p alike
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
)


@pytest.mark.parametrize("encoded", _SMALL)
def test_a_key_of_small_order_is_no_public_key(encoded: str) -> None:
    """No encoding of a point of small order passes, the non-canonical ones included."""
    assert "small order" in (public_key_problem(bytes.fromhex(encoded)) or "")


def test_only_canonical_points_of_the_curve_are_public_keys() -> None:
    """RFC 8032's own keys pass; a y without a point, one above the prime and other lengths do not."""
    for known in (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    ):
        assert public_key_problem(bytes.fromhex(known)) is None
    for wrong in ((2).to_bytes(32, "little"), (2**255 - 19 + 3).to_bytes(32, "little"), bytes(31), bytes(33)):
        assert public_key_problem(wrong) is not None


@pytest.mark.parametrize("scheme", SCHEMES, ids=["standard-webhooks", "rfc9421"])
def test_the_key_decides_how_a_signature_is_checked(scheme: Any) -> None:
    """A MAC with a public key's bytes matches nothing, and a signature of a pair matches no secret."""
    plain = push_request()
    forged = with_headers(plain, scheme.sign(plain, PUBLIC.material, 2, TIMESTAMP, NONCE))
    assert accepts(scheme, forged, Key(2, PUBLIC.material))
    assert not accepts(scheme, forged, PUBLIC)
    signed = with_headers(plain, scheme.sign_private(plain, KEY, 2, TIMESTAMP, NONCE))
    assert accepts(scheme, signed, PUBLIC)
    assert not accepts(scheme, signed, SECRET)
    assert not accepts(scheme, signed, Key(2, PUBLIC.material))


def webhook(signature: str, names: tuple[str, ...] = SVIX) -> SignedRequest:
    return with_headers(push_request(), dict(zip(names, (NONCE, str(TIMESTAMP), signature), strict=True)))


def pair_entry(key: bytes = KEY) -> str:
    return StandardWebhooks().sign_private(push_request(), key, 1, TIMESTAMP, NONCE)["webhook-signature"]


def mac_entry(key: bytes = KEY) -> str:
    return StandardWebhooks().sign(push_request(), key, 1, TIMESTAMP, NONCE)["webhook-signature"]


@pytest.mark.parametrize(
    ("text", "by_public", "by_secret"),
    [
        ("{mac}", False, True),
        ("{pair}", True, False),
        ("{pair} {mac}", True, True),
        ("v1a,AAAA v1a,&&& {other} {pair}", True, False),
        ("v1,{bare}", False, False),
        ("v1a,{bare_mac}", False, False),
    ],
)
def test_svix_headers_count_as_the_standards(text: str, by_public: bool, by_secret: bool) -> None:
    """`v1` is checked with secrets and `v1a` with public keys, never the other way round, by Svix's names too."""
    mac, pair = mac_entry(), pair_entry()
    parts = {"mac": mac, "pair": pair, "other": pair_entry(OTHER_KEY), "bare": pair[4:], "bare_mac": mac[3:]}
    request = webhook(text.format(**parts))
    assert accepts(StandardWebhooks(), request, PUBLIC) is by_public
    assert accepts(StandardWebhooks(), request, SECRET) is by_secret


def test_a_mix_of_families_is_ambiguous() -> None:
    """Headers of both families are refused, whichever and however many there are."""
    for extra in ({"webhook-id": NONCE}, {"webhook-signature": mac_entry()}):
        with pytest.raises(AmbiguousSignature):
            StandardWebhooks().read(with_headers(webhook(mac_entry()), extra))


def test_an_ed25519_signature_has_one_spelling_and_few_companions() -> None:
    """Base64 with other unused bits does not match, and more entries than a rotation needs are refused unverified."""
    entry = pair_entry()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = entry[:-3] + alphabet[alphabet.index(entry[-3]) + 1] + "=="
    assert base64.b64decode(twin[4:]) == base64.b64decode(entry[4:])
    assert not accepts(StandardWebhooks(), webhook(twin), PUBLIC)
    assert accepts(StandardWebhooks(), webhook(" ".join([entry] * 16)), PUBLIC)
    with pytest.raises(SignatureMalformed):
        StandardWebhooks().read(webhook(" ".join([entry] * 17)))


def message(text: str, key: bytes = KEY, *, pair: bool = True, digest: str | None = None, **how: Any) -> SignedRequest:
    """A request signed over the components of a signature input; ``how``: of the request."""
    plain = msgspec.structs.replace(push_request(), **how)
    digest = digest or f"sha-256=:{base64.b64encode(hashlib.sha256(plain.body).digest()).decode()}:"
    request = with_headers(plain, {"content-digest": digest})
    covered = read_dictionary(f"sync={text}", "test")["sync"]
    assert isinstance(covered, InnerList)
    base = signature_base(request, covered)
    made = base64.b64encode(sign(key, base) if pair else hmac.digest(key, base, "sha256")).decode()
    return with_headers(request, {"signature-input": f"sync={text}", "signature": f"sync=:{made}:"})


@pytest.mark.parametrize("target", ["@path", "@target-uri", "@request-target"])
@pytest.mark.parametrize("digest", ['"content-digest"', '"content-digest";key="sha-256"'])
def test_one_component_that_names_the_address_is_enough(target: str, digest: str) -> None:
    """Method, one of three targets and the digest, whole or one member of it, are enough."""
    for pair in (True, False):
        request = message(f'("@method" "{target}" {digest}){PARAMETERS}', pair=pair)
        assert accepts(MessageSignatures(), request, PUBLIC if pair else SECRET)
        assert not accepts(
            MessageSignatures(), msgspec.structs.replace(request, body=b"{}"), PUBLIC if pair else SECRET
        )


def test_the_derived_components_have_the_values_of_the_rfc() -> None:
    """RFC 9421, 2.2: the values of each derived component that is supported."""
    covered = '("@method" "@path" "@query" "@authority" "@scheme" "@target-uri" "@request-target" "content-digest")'
    request = message(covered + PARAMETERS, authority="CRM.example:443")
    scheme = MessageSignatures()
    assert scheme.signed_text(request, scheme.read(request)).decode().splitlines()[:7] == [
        '"@method": POST',
        '"@path": /i/eu1/t/northwind/api/v1/sync/branding',
        '"@query": ?',
        '"@authority": crm.example',
        '"@scheme": https',
        '"@target-uri": https://crm.example/i/eu1/t/northwind/api/v1/sync/branding',
        '"@request-target": /i/eu1/t/northwind/api/v1/sync/branding',
    ]
    for change in (
        {"query": ""},
        {"scheme": "http"},
        {"authority": "evil.example"},
        {"path": "/i/eu1/t/contoso/api/v1/sync/branding"},
    ):
        assert not accepts(scheme, msgspec.structs.replace(request, **change), PUBLIC)


def test_a_query_is_part_of_the_target() -> None:
    """RFC 9421, 2.2.2, 2.2.5 and 2.2.7: the target has it behind a question mark, also if it is empty."""
    covered = '("@method" "@query" "@target-uri" "@request-target" "content-digest")'
    scheme = MessageSignatures()
    for query in ("a=b&c", ""):
        request = message(covered + PARAMETERS, query=query)
        lines = scheme.signed_text(request, scheme.read(request)).decode().splitlines()[1:4]
        assert [line.partition("?")[2] for line in lines] == [query] * 3
        assert accepts(scheme, request, PUBLIC)


@pytest.mark.parametrize(
    "covered", ['"@path" "content-digest"', '"@method" "content-digest"', '"@method" "@authority" "content-digest"']
)
def test_a_signature_without_method_or_address_is_incomplete(covered: str) -> None:
    """A signature of a pair that covers no address, or no method, is valid for other requests too."""
    request, scheme = message(f"({covered}){PARAMETERS}"), MessageSignatures()
    with pytest.raises(SignatureIncomplete):
        scheme.verifies(request, scheme.read(request), PUBLIC)


def test_a_digest_that_key_names_must_be_there() -> None:
    """`;key` names a member of Content-Digest that the request has, and every known member fits the body."""
    scheme, sha512 = MessageSignatures(), base64.b64encode(hashlib.sha512(push_request().body).digest()).decode()
    absent = message(f'("@method" "@path" "content-digest"){PARAMETERS}', digest=f"sha-512=:{sha512}:")
    headers = dict(absent.headers) | {
        "signature-input": 'sync=("@method" "@path" "content-digest";key="sha-256")' + PARAMETERS
    }
    request = msgspec.structs.replace(absent, headers=tuple(headers.items()))
    with pytest.raises(SignatureIncomplete):
        scheme.verifies(request, scheme.read(request), PUBLIC)
    for value in ("sha-256=(:AAAA:)", "sha-256=?1"):
        odd = message(f'("@method" "@path" "content-digest";key="sha-256"){PARAMETERS}', digest=value)
        with pytest.raises(SignatureMalformed):
            scheme.verifies(odd, scheme.read(odd), PUBLIC)
    wrong = f"sha-512=:{sha512}:, sha-256=:{'A' * 43}=:"
    request = message(f'("@method" "@path" "content-digest";key="sha-512"){PARAMETERS}', digest=wrong)
    assert not accepts(scheme, request, PUBLIC)


@pytest.mark.parametrize(("pair", "named"), [(True, "hmac-sha256"), (False, "ed25519")])
def test_alg_must_be_that_of_the_key(pair: bool, named: str) -> None:
    """The sender cannot choose how a key is used: a valid signature with the other algorithm's name is malformed."""
    request = message(f'("@method" "@path" "content-digest"){PARAMETERS};alg="{named}"', pair=pair)
    scheme = MessageSignatures()
    with pytest.raises(SignatureMalformed):
        scheme.verifies(request, scheme.read(request), PUBLIC if pair else SECRET)

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import http_message_signatures as reference
import msgspec
import pytest

from crm_core.errors import KeyUnknown, SignatureIncomplete, SignatureMalformed
from crm_core.plugin.signature import SignedRequest
from crm_core.testing.signature import (
    KEY,
    NONCE,
    OTHER_KEY,
    TIMESTAMP,
    SchemeSuite,
    push_request,
    with_headers,
)
from crm_rfc9421.base import signature_base
from crm_rfc9421.fields import InnerList, read_dictionary
from crm_rfc9421.hooks import crm_register_signature_schemes
from crm_rfc9421.scheme import MessageSignatures

PUSH, B_2_5 = json.loads((Path(__file__).parent / "vectors/rfc9421.json").read_text())["cases"]
COVERED = '("@method" "@path" "content-digest")'
PARAMETERS = f';created={TIMESTAMP};keyid="northwind:2";nonce="{NONCE}"'


def digest_of(body: bytes, name: str = "sha256") -> str:
    return base64.b64encode(hashlib.new(name, body).digest()).decode()


class TestMessageSignatures(SchemeSuite):
    scheme_class = MessageSignatures


class TestMessageSignaturesOfPairs(SchemeSuite):
    scheme_class = MessageSignatures
    key_kind = "public"


def signed(
    text: str, *, plain: SignedRequest | None = None, digest: str | None = None, key: bytes = KEY, label: str = "sync"
) -> SignedRequest:
    """A request signed over the components of the signature input, valid or not."""
    plain = plain or push_request()
    digest = digest if digest is not None else f"sha-256=:{digest_of(plain.body)}:"
    request = with_headers(plain, {"content-digest": digest}) if digest else plain
    covered = read_dictionary(f"{label}={text}", "test")[label]
    assert isinstance(covered, InnerList)
    try:
        mac = hmac.digest(key, signature_base(request, covered), "sha256")
    except (SignatureIncomplete, SignatureMalformed):
        mac = bytes(32)
    value = base64.b64encode(mac).decode()
    return with_headers(request, {"signature-input": f"{label}={text}", "signature": f"{label}=:{value}:"})


def matches(request: SignedRequest, key: bytes = KEY) -> bool:
    scheme = MessageSignatures()
    return scheme.matches(request, scheme.read(request), key)


def with_two(first: SignedRequest, second: SignedRequest) -> SignedRequest:
    """One request with the labels of two."""
    headers = dict(first.headers)
    for name in ("signature-input", "signature"):
        headers[name] = f"{first.one(name)}, {second.one(name)}"
    return msgspec.structs.replace(first, headers=tuple(headers.items()))


def test_the_package_offers_one_scheme() -> None:
    """The hook registers the scheme under its name in the roster."""
    assert [scheme.NAME for scheme in crm_register_signature_schemes()] == ["rfc9421"]


def test_the_published_push_is_reproduced() -> None:
    """Signing gives the headers of the vector, and the vector verifies."""
    scheme, key = MessageSignatures(), bytes.fromhex(PUSH["key_hex"])
    plain = push_request(PUSH["body"].encode())
    assert plain.path == PUSH["path"]
    wanted = {name: value for name, value in PUSH["headers"].items() if name != "Content-Type"}
    assert scheme.sign(plain, key, 2, TIMESTAMP, NONCE) == wanted
    request = with_headers(plain, wanted)
    assert matches(request, key)
    assert scheme.read(request).key_version == 2
    assert scheme.signed_text(request, scheme.read(request)).startswith(b'"@method": POST\n"@path": /i/eu1/')


def test_the_base_of_the_rfcs_own_example_is_reproduced() -> None:
    """RFC 9421 B.2.5: the base built here, under the RFC's key, gives the RFC's signature."""
    plain = msgspec.structs.replace(push_request(b""), authority="EXAMPLE.com:443", path="/foo", headers=())
    request = with_headers(plain, B_2_5["headers"])
    covered = read_dictionary(request.one("signature-input"), "signature-input")["sig-b25"]
    assert isinstance(covered, InnerList)
    mac = hmac.digest(base64.b64decode(B_2_5["key_base64"]), signature_base(request, covered), "sha256")
    assert request.one("signature") == f"sig-b25=:{base64.b64encode(mac).decode()}:"
    with pytest.raises(KeyUnknown):
        MessageSignatures().read(request)


@pytest.mark.parametrize(
    "covered",
    [
        ("@method", "@path", "content-digest"),
        ("content-digest", "@query", "@path", "@authority", "content-type", "@method"),
    ],
)
@pytest.mark.parametrize("label", ["sync", "pyhms"])
def test_what_the_reference_library_signs_is_accepted(covered: tuple[str, ...], label: str) -> None:
    """Pushes signed with http-message-signatures verify, also with further components."""
    resolver = type("Keys", (reference.HTTPSignatureKeyResolver,), {"resolve_private_key": lambda _self, key_id: KEY})
    signer = reference.HTTPMessageSigner(signature_algorithm=reference.algorithms.HMAC_SHA256, key_resolver=resolver())
    plain = push_request()
    headers = {**dict(plain.headers), "Content-Digest": f"sha-512=:{digest_of(plain.body, 'sha512')}:"}
    message = SimpleNamespace(method="POST", url=f"https://crm.example{plain.path}", headers=headers)
    signer.sign(
        message,
        key_id="northwind:2",
        created=datetime.fromtimestamp(TIMESTAMP, UTC),
        expires=datetime.fromtimestamp(TIMESTAMP + 60, UTC),
        nonce="with.a.dot",
        label=label,
        tag="crm-sync",
        covered_component_ids=covered,
        body=plain.body,
        use_existing_digest=True,
    )
    request = with_headers(msgspec.structs.replace(plain, headers=()), message.headers)
    presented = MessageSignatures().read(request)
    assert (presented.nonce, presented.expires) == ("with.a.dot", TIMESTAMP + 60)
    assert matches(request)
    assert not matches(request, OTHER_KEY)


@pytest.mark.parametrize(
    "covered",
    [
        '("@path" "content-digest")',
        '("@method" "content-digest")',
        '("@method" "@path")',
        "()",
        '("@method" "@path" "content-digest" "x-absent")',
    ],
)
def test_too_little_covered_is_incomplete(covered: str) -> None:
    """A signature without a required component, or with an absent header, is incomplete."""
    with pytest.raises(SignatureIncomplete):
        matches(signed(covered + PARAMETERS))


@pytest.mark.parametrize("digest", ["", "md5=:AAAA:", "unixsum=1"])
def test_without_a_digest_that_is_known_it_is_incomplete(digest: str) -> None:
    """Content-Digest without sha-256 and sha-512 is incomplete."""
    with pytest.raises(SignatureIncomplete):
        matches(signed(COVERED + PARAMETERS, digest=digest))


@pytest.mark.parametrize(
    "digest", ["sha-256=?1", 'sha-256="AAAA"', "sha-256", "sha-256=:AAAA", "=", "sha-256=(:AAAA:)"]
)
@pytest.mark.parametrize("tenant", ["northwind", "southwind"])
def test_a_digest_that_does_not_parse_is_malformed(digest: str, tenant: str) -> None:
    """A Content-Digest must be a dictionary of byte sequences. It is read before the key is looked up."""
    with pytest.raises(SignatureMalformed, match="content-digest"):
        MessageSignatures().read(signed(COVERED + PARAMETERS.replace("northwind", tenant), digest=digest))


@pytest.mark.parametrize(
    ("digest", "matching"),
    [
        ("sha-256=:{right256}:", True),
        ("sha-512=:{right512}:", True),
        ("sha-256=:{right256}:, sha-512=:{right512}:, md5=:AAAA:", True),
        ("sha-256=:{wrong}:", False),
        ("sha-256=:{right256}:, sha-512=:{wrong}:", False),
        ("sha-256=::", False),
    ],
)
def test_the_digest_is_checked_against_the_body(digest: str, matching: bool) -> None:
    """A wrong known digest does not match, although the signature is valid."""
    body = push_request().body
    text = digest.format(right256=digest_of(body), right512=digest_of(body, "sha512"), wrong=digest_of(b"other"))
    assert matches(signed(COVERED + PARAMETERS, digest=text)) is matching


@pytest.mark.parametrize(
    "text",
    [
        '("@method";req "@path" "content-digest")' + PARAMETERS,
        '("@method" "@path" "content-digest";sf)' + PARAMETERS,
        '("@method" "@path" "content-digest" "@status")' + PARAMETERS,
        '("@method" "@path" "content-digest";key="sha-1")' + PARAMETERS,
        '("@method" "@path" "content-digest";key=sha-256)' + PARAMETERS,
        '("@method" "@path" "content-digest";key="sha-256";req)' + PARAMETERS,
        '("@method" "@path";key="sha-256" "content-digest")' + PARAMETERS,
        '("@method" "@path" "content-digest" "content-type";key="sha-256")' + PARAMETERS,
        '("@method" "@path" "content-digest" "@signature-params")' + PARAMETERS,
        '("@method" "@method" "@path" "content-digest")' + PARAMETERS,
        '("@method" "@path" "Content-Digest")' + PARAMETERS,
        '("@method" "@path" "content-digest" 1)' + PARAMETERS,
        f'{COVERED};keyid="northwind:2";nonce="n"',
        f'{COVERED};created="1";keyid="northwind:2";nonce="n"',
        f'{COVERED};created=-1;keyid="northwind:2";nonce="n"',
        f'{COVERED};created=1.5;keyid="northwind:2";nonce="n"',
        f'{COVERED};created;keyid="northwind:2";nonce="n"',
        f'{COVERED};created=1;keyid="northwind:2"',
        f'{COVERED};created=1;keyid="northwind:2";nonce=n',
        f'{COVERED};created=1;keyid="northwind:2";nonce=""',
        f'{COVERED};created=1;keyid="northwind:2";nonce="a b"',
        COVERED + PARAMETERS + ';expires="1"',
        COVERED + PARAMETERS + ';alg="rsa-pss-sha512"',
        COVERED + PARAMETERS + ";alg=hmac-sha256",
    ],
)
def test_parameters_and_components_that_cannot_be_taken_are_malformed(text: str) -> None:
    """Unsupported or repeated components, missing parameters and other algorithms are malformed."""
    with pytest.raises(SignatureMalformed):
        MessageSignatures().read(signed(text))


@pytest.mark.parametrize(
    "keyid", ['"contoso:2"', '"northwind"', '"northwind:"', '"northwind:02"', '"northwind:2:2"', "2", '"northwind:x"']
)
def test_a_key_that_is_not_this_tenants_is_unknown(keyid: str) -> None:
    """A keyid other than tenant, colon and key version is unknown."""
    with pytest.raises(KeyUnknown):
        MessageSignatures().read(signed(f'{COVERED};created=1;keyid={keyid};nonce="n"'))


def test_the_order_of_components_and_parameters_counts_as_received() -> None:
    """Signatures with another order, unknown parameters or extra spaces verify."""
    text = '(  "content-digest"   "@path" "@method"  )'
    text += ';nonce="a\\"b\\\\"; x=?0;y=tok/en;z=1.50;b=:AA==:;keyid="northwind:2";created=1'
    assert matches(signed(text))


def test_a_tagged_label_comes_before_the_first_of_this_tenant() -> None:
    """Of several labels the one with our tag is read, in any position."""
    first = signed(COVERED + PARAMETERS, label="a")
    second = signed(COVERED + PARAMETERS.replace("northwind:2", "northwind:3") + ';tag="crm-sync"', label="b")
    for request in (with_two(first, second), with_two(second, first)):
        assert MessageSignatures().read(request).key_version == 3
        assert matches(request)


def test_without_a_tag_the_first_label_of_this_tenant_is_read() -> None:
    """A proxy's signature with unsupported components does not disturb ours."""
    proxy = signed('("@status";req "x-y";bs);created=1;keyid="proxy"', label="proxy")
    request = with_two(proxy, signed(COVERED + PARAMETERS, label="ours"))
    assert MessageSignatures().read(request).key_version == 2
    assert matches(request)


def test_a_label_without_its_signature_is_malformed() -> None:
    """A Signature without the label of Signature-Input is malformed."""
    request = signed(COVERED + PARAMETERS)
    for value in ("other=:AAAA:", "sync=1", "sync", "", "sync=(:AAAA:)"):
        headers = tuple((name, value if name == "signature" else old) for name, old in request.headers)
        with pytest.raises(SignatureMalformed):
            MessageSignatures().read(msgspec.structs.replace(request, headers=headers))


def test_a_covered_value_cannot_forge_a_line() -> None:
    """A covered value with a line break, or a character that no header can have, is malformed."""
    plain = with_headers(push_request(), {"x-note": "a"})
    request = signed('("@method" "@path" "content-digest" "x-note")' + PARAMETERS, plain=plain)
    assert matches(request)
    for value in ('a\n"@path": /other', "a\x00", "\u0100", "\ud800"):
        headers = tuple((name, value if name == "x-note" else old) for name, old in request.headers)
        with pytest.raises(SignatureMalformed):
            matches(msgspec.structs.replace(request, headers=headers))


def test_a_repeated_covered_header_is_joined() -> None:
    """Several values of a covered header are joined by a comma and a space, as the RFC says."""
    plain = msgspec.structs.replace(push_request(), headers=(("x-note", " Xa "), ("x-note", "\tb")))
    request = signed('("@method" "@path" "content-digest" "x-note")' + PARAMETERS, plain=plain)
    scheme = MessageSignatures()
    assert b'"x-note": Xa, b\n' in scheme.signed_text(request, scheme.read(request))
    assert matches(request)

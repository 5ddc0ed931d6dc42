"""The other two signature schemes over HTTP, with signatures made by the tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

import httpx
import pytest

from contract.box import BRANDING, Box, good, key_of, pointers, problem, roster_key
from contract.conftest import Boxes


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance whose tenant has two active keys, and one whose only key has expired."""
    expired = roster_key("expired", 1, not_after="2020-01-01T00:00:00Z")
    return boxes(tenants={"northwind": {"keys": [roster_key(), roster_key(version=3)]}, "expired": {"keys": [expired]}})


def webhook(body: bytes, number: str, *, key: bytes, stamp: int | None = None, extra: str = "") -> dict[str, str]:
    """The headers of Standard Webhooks 1.0."""
    stamp = int(time.time()) if stamp is None else stamp
    mac = hmac.new(key, f"{number}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"{extra}v1,{base64.b64encode(mac).decode()}"
    fields = {"webhook-id": number, "webhook-timestamp": str(stamp), "webhook-signature": signature}
    return {"Content-Type": "application/json", **fields}


def message(
    path: str, body: bytes, nonce: str, *, method: str = "POST", key_id: str = "northwind:2", covered: str | None = None
) -> dict[str, str]:
    """The headers of an HTTP message signature (RFC 9421) with hmac-sha256."""
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    covered = covered or '"@method" "@path" "content-digest"'
    values = {"@method": method, "@path": path, "content-digest": digest}
    parameters = f'({covered});created={int(time.time())};nonce="{nonce}";keyid="{key_id}"'
    lines = [f'"{name}": {value}' for name, value in values.items() if f'"{name}"' in covered]
    base = "\n".join([*lines, f'"@signature-params": {parameters}'])
    mac = hmac.new(key_of(), base.encode(), hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "Content-Digest": digest,
        "Signature-Input": f"sig={parameters}",
        "Signature": f"sig=:{base64.b64encode(mac).decode()}:",
    }


def post(box: Box, body: bytes, headers: dict[str, str], tenant: str = "northwind") -> httpx.Response:
    """A push of branding with these headers."""
    return box.client.post(f"{box.base(tenant)}/sync/branding", content=body, headers=headers)


@pytest.mark.parametrize("version", [2, 3])
def test_a_standard_webhook_is_applied_and_the_key_that_matched_is_logged(box: Box, version: int) -> None:
    """The scheme names no key, so each active one is tried; unknown entries are ignored; the id is the nonce."""
    body = box.body("branding", BRANDING)
    headers = webhook(body, f"msg_{version}", key=key_of(version=version), extra="v1a,AAAA v1,%%% ")
    answer = good(post(box, body, headers))
    entry = box.entry(answer["request_id"])
    assert (entry["scheme"], entry["key_version"], entry["nonce"]) == ("standard-webhooks", version, f"msg_{version}")
    problem(post(box, body, headers), 409, "replayed_nonce")


def test_a_standard_webhook_must_name_the_instance(box: Box) -> None:
    """The scheme does not sign the address, so the same body would be valid at another instance."""
    body = box.body("branding", BRANDING, instance=None)
    refusal = problem(post(box, body, webhook(body, "msg_i", key=key_of())), 400, "invalid_envelope")
    assert pointers(refusal) == {"/instance"}
    body = box.body("branding", BRANDING, instance="us9")
    problem(post(box, body, webhook(body, "msg_j", key=key_of())), 403, "tenant_mismatch")


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ({"number": "with.dot"}, 400, "signature_malformed"),
        ({"number": "with space"}, 400, "signature_malformed"),
        ({"number": "n" * 257}, 400, "signature_malformed"),
        ({"stamp": 1_600_000_000}, 401, "timestamp_out_of_window"),
        ({"key": b"x" * 32}, 401, "signature_invalid"),
    ],
)
def test_an_invalid_standard_webhook_is_refused(box: Box, how: Any, status: int, code: str) -> None:
    """Each fault has the same code as in the native scheme."""
    body = box.body("branding", BRANDING)
    problem(post(box, body, webhook(body, **{"number": "msg_x", "key": key_of(), **how})), status, code)


def test_without_an_active_key_no_webhook_is_tried(box: Box) -> None:
    """The refusal is key_inactive, as for a scheme that names its key."""
    body = box.body("branding", BRANDING, "expired")
    refusal = problem(post(box, body, webhook(body, "m", key=key_of("expired", 1)), "expired"), 401, "key_inactive")
    assert box.entry(refusal["request_id"], "expired")["signature_result"] == "inactive_key"


def test_a_message_signature_is_applied_once(box: Box) -> None:
    """A signature over method, path and digest is accepted once; other bodies, keys and forms are refused."""
    body, path = box.body("branding", BRANDING), f"{box.base()}/sync/branding"
    headers = message(path, body, "n-1.with.dots")
    answer = good(post(box, body, headers))
    assert box.entry(answer["request_id"])["scheme"] == "rfc9421"
    problem(post(box, body, headers), 409, "replayed_nonce")
    other = box.body("branding", {"title": "other"})
    problem(post(box, other, message(path, body, "n-2")), 401, "signature_invalid")
    answer = problem(
        post(box, body, message(path, body, "n-3", covered='"@method" "@path"')), 401, "signature_incomplete"
    )
    assert box.entry(answer["request_id"])["signature_result"] == "invalid"
    problem(post(box, body, message(path, body, "n-4", key_id="contoso:2")), 401, "key_unknown")
    problem(post(box, body, {**message(path, body, "n-5"), "Signature": "sig=nothing"}), 400, "signature_malformed")


def test_health_may_be_signed_by_either(box: Box) -> None:
    """A health request signs the empty body."""
    path = f"{box.base()}/sync/health"
    for headers in (
        webhook(b"", "health-1", key=key_of()),
        message(path, b"", "health-2", method="GET"),
    ):
        assert good(box.client.get(path, headers=headers))["expected_key"] == "northwind:3"
        problem(box.client.get(path, headers=headers), 409, "replayed_nonce")


@pytest.fixture(scope="module")
def narrowed(boxes: Boxes) -> Box:
    """An instance whose tenants have keys for one scheme each."""
    hooks = roster_key("northwind", 2, schemes=["standard-webhooks"])
    messages = roster_key("northwind", 3, schemes=["rfc9421"])
    native = roster_key("contoso", 2, schemes=["crm-sync-v1"])
    return boxes(tenants={"northwind": {"keys": [hooks, messages]}, "contoso": {"keys": [native]}})


def test_a_key_serves_the_schemes_that_it_is_narrowed_to(narrowed: Box) -> None:
    """Another scheme is 401 before the signature is checked; the log has it as unchecked, health lists the schemes."""
    refusal = problem(narrowed.push("branding", BRANDING), 401, "scheme_not_accepted")
    entry = narrowed.entry(refusal["request_id"])
    assert (entry["signature_result"], entry["key_version"]) == ("unchecked", 2)
    body, path = narrowed.body("branding", BRANDING), f"{narrowed.base()}/sync/branding"
    problem(post(narrowed, body, message(path, body, "narrow-1")), 401, "scheme_not_accepted")
    good(post(narrowed, body, webhook(body, "narrow-2", key=key_of())))
    accepted = narrowed.health()["accepted_keys"]
    assert [(key["key_version"], key["kind"], key["schemes"]) for key in accepted] == [
        (3, "secret", ["rfc9421"]),
        (2, "secret", ["standard-webhooks"]),
    ]


def test_a_scheme_that_names_no_key_tries_those_that_it_may_use(narrowed: Box) -> None:
    """A signature by another key of the tenant does not count; if no key may be used, the scheme is refused."""
    body = narrowed.body("branding", {"title": "other"})
    problem(post(narrowed, body, webhook(body, "narrow-3", key=key_of(version=3))), 401, "signature_invalid")
    body = narrowed.body("branding", BRANDING, "contoso")
    headers = webhook(body, "narrow-4", key=key_of("contoso", 2))
    problem(post(narrowed, body, headers, "contoso"), 401, "scheme_not_accepted")
    narrowed.applied("branding", BRANDING, tenant="contoso", key_version=2)


def both_signatures(body: bytes, number: str) -> tuple[dict[str, str], list[str]]:
    """The headers of a webhook that is signed with keys 2 and 3, as during a rotation, and each signature alone."""
    signed = [webhook(body, number, key=key_of(version=version)) for version in (2, 3)]
    alone = [headers["webhook-signature"] for headers in signed]
    return signed[0] | {"webhook-signature": " ".join(alone)}, alone


@pytest.mark.parametrize("left", [0, 1])
def test_a_webhook_without_one_of_its_signatures_is_a_replay(box: Box, left: int) -> None:
    """Anyone can take a signature away, and the message is still signed; it was refused or previewed before."""
    body = box.body("branding", BRANDING, mode="preview")
    headers, alone = both_signatures(body, f"msg_both_{left}")
    original = good(post(box, body, headers))["request_id"]
    replay = problem(post(box, body, headers | {"webhook-signature": alone[left]}), 409, "replayed_nonce")
    assert replay["original"]["request_id"] == original


@pytest.mark.parametrize("first", [0, 1])
def test_each_signature_of_a_webhook_uses_the_message(box: Box, first: int) -> None:
    """Sent with either of its signatures, the message is used for the other one too."""
    body = box.body("branding", {"title": 5})
    headers, alone = both_signatures(body, f"msg_split_{first}")
    problem(post(box, body, headers | {"webhook-signature": alone[first]}), 422, "invalid_payload")
    for signature in (alone[1 - first], headers["webhook-signature"]):
        problem(post(box, body, headers | {"webhook-signature": signature}), 409, "replayed_nonce")


def test_the_id_of_a_webhook_is_free_for_another_message_under_another_key(box: Box) -> None:
    """Nonces are separate for each key; only the same message counts once for all of them."""
    for version in (2, 3):
        body = box.body("branding", BRANDING)
        assert post(box, body, webhook(body, "msg_shared", key=key_of(version=version))).status_code == 200

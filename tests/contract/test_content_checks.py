"""The checks of a verified push. Each refusal is a link of the chain and has used its nonce."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from contract.box import BRANDING, Box, pointers, problem
from contract.conftest import Boxes


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance whose branding is at version 100."""
    box = boxes()
    box.applied("branding", BRANDING, envelope={"version": 100})
    box.versions = count(101)
    return box


def envelope(box: Box, **members: Any) -> dict[str, Any]:
    """An envelope that would be applied, with other members."""
    envelope = json.loads(box.body("branding", BRANDING, version=next(box.versions)))
    return {name: value for name, value in {**envelope, **members}.items() if value is not ...}


CASES: list[tuple[str, dict[str, Any], int, str]] = [
    ("not an object", {}, 400, "invalid_envelope"),
    ("unknown member", {"versoin": 3}, 400, "invalid_envelope"),
    ("missing tenant", {"tenant": ...}, 400, "invalid_envelope"),
    ("missing type", {"type": ...}, 400, "invalid_envelope"),
    ("missing version", {"version": ...}, 400, "invalid_envelope"),
    ("missing data", {"data": ...}, 400, "invalid_envelope"),
    ("version as text", {"version": "5"}, 400, "invalid_envelope"),
    ("version as float", {"version": 5.0}, 400, "invalid_envelope"),
    ("version true", {"version": True}, 400, "invalid_envelope"),
    ("version 0", {"version": 0}, 400, "invalid_envelope"),
    ("version too large", {"version": 2**53}, 400, "invalid_envelope"),
    ("data as list", {"data": []}, 400, "invalid_envelope"),
    ("data null", {"data": None}, 400, "invalid_envelope"),
    ("instance null", {"instance": None}, 400, "invalid_envelope"),
    ("mode", {"mode": "dry-run"}, 400, "invalid_envelope"),
    ("mode as list", {"mode": ["apply"]}, 400, "invalid_envelope"),
    ("strategy", {"strategy": "overlay"}, 400, "invalid_envelope"),
    ("issued_at", {"issued_at": "yesterday"}, 400, "invalid_envelope"),
    ("source", {"source": 5}, 400, "invalid_envelope"),
    ("tenant", {"tenant": "contoso"}, 403, "tenant_mismatch"),
    ("instance", {"instance": "us9"}, 403, "tenant_mismatch"),
    ("type", {"type": "smtp"}, 400, "type_mismatch"),
    ("stale", {"version": 100, "source": "slow"}, 409, "stale_version"),
    ("schema", {"data": {"title": 5}}, 422, "invalid_payload"),
]


@pytest.mark.parametrize(("members", "status", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_verified_push_that_is_refused_is_in_the_chain(
    box: Box, members: dict[str, Any], status: int, code: str
) -> None:
    """The refusal is logged with seq and hashes, has used its nonce, and has changed nothing."""
    before = box.public()
    body = json.dumps(envelope(box, **members) if members else [1]).encode()
    signed = box.sign("branding", body)
    refusal = problem(box.push("branding", raw=body, headers=dict(signed)), status, code)
    entry = box.entry(refusal["request_id"])
    assert (entry["status"], entry["error_code"], entry["signature_result"]) == ("rejected", code, "valid")
    assert entry["seq"] >= 1
    assert len(entry["entry_hash"]) == len(entry["prev_hash"]) == 64
    assert (entry["key_version"], entry["actor"], entry["nonce"]) == (2, "key:2", signed["Sync-Nonce"])
    assert (entry["revision"], entry["payload_bytes"]) == (None, len(body))
    assert (entry["payload_version"] is None) == (code == "invalid_envelope")
    assert box.public() == before
    again = problem(box.push("branding", raw=body, headers=dict(signed)), 409, "replayed_nonce")
    assert again["original"]["request_id"] == refusal["request_id"]
    assert again["original"]["status"] == "rejected"
    assert again["original"].keys() == {"request_id", "received_at", "status", "version"}


def test_every_error_of_the_envelope_is_listed(box: Box) -> None:
    """All errors are listed together, with pointers into the body as sent."""
    body = json.dumps({"tenant": 5, "versoin": 1, "type": "branding", "mode": "maybe"}).encode()
    refusal = problem(box.push("branding", raw=body), 400, "invalid_envelope")
    assert pointers(refusal) == {"/tenant", "/versoin", "/version", "/data", "/mode"}


def test_every_error_of_the_data_is_listed(box: Box) -> None:
    """Unknown members, wrong types and values, deep and shallow, each with its pointer and a sentence."""
    data = {
        "title": 5,
        "colors": {"primary": "blue", "secondary": "#000000"},
        "footer": {"links": [{"label": "a", "url": "http://example.com"}, {"url": "https://example.com"}]},
        "logo_url": "https://user:secret@example.com/logo.png",
        "no~such/member": 1,
    }
    refusal = problem(box.push("branding", data, envelope={"version": next(box.versions)}), 422, "invalid_payload")
    assert {
        "/data/title",
        "/data/colors/primary",
        "/data/colors/secondary",
        "/data/footer/links/0/url",
        "/data/footer/links/1/label",
        "/data/logo_url",
        "/data/no~0such~1member",
    } == pointers(refusal)
    assert all(error["message"] and error["code"] for error in refusal["errors"])


def test_at_most_a_thousand_errors_are_listed_at_a_bounded_cost(box: Box) -> None:
    """More than a thousand end with more_errors; a push of only errors costs less than four seconds of CPU time."""
    data = {"footer": {"links": [{}] * 60_000}}
    before = box.spent()
    refusal = problem(box.push("branding", data, envelope={"version": next(box.versions)}), 422, "invalid_payload")
    assert box.spent() - before < 4
    assert len(refusal["errors"]) == 1001
    assert refusal["errors"][-1]["code"] == "more_errors"


def test_many_names_get_a_bounded_answer(box: Box) -> None:
    """The first hundred warnings of a push are listed, and the first thousand errors."""
    role = {"grant": [f"*.action{at}" for at in range(1_500)]}
    previewed = box.applied("features", {"roles": {"agent": role}}, envelope={"mode": "preview"})
    assert [each["code"] for each in previewed["warnings"]] == ["no_effect"] * 100 + ["more_warnings"]
    plan = {"code": "pro", "features": [f"module{at}.view" for at in range(1_500)]}
    version = next(box.versions)
    refusal = problem(box.push("features", {"plan": plan}, envelope={"version": version}), 422, "module_unsupported")
    assert len(refusal["errors"]) == 1001
    assert refusal["errors"][-1]["code"] == "more_errors"
    keys = {"overrides": {f"deals.key{at}": True for at in range(1_500)}}
    refusal = problem(box.push("features", keys, envelope={"version": version}), 422, "invalid_payload")
    assert [each["code"] for each in refusal["errors"]] == ["unknown_key"] * 1000 + ["more_errors"]


def test_the_version_comes_before_the_schema(box: Box) -> None:
    """A push with an old version and invalid data is stale_version."""
    problem(box.push("branding", {"title": 5}, envelope={"version": 1}), 409, "stale_version")


def test_the_envelope_comes_before_tenant_and_type(box: Box) -> None:
    """Of unknown members, another tenant and another type, each is reported once the one before is fixed."""
    body = json.dumps(envelope(box, tenant="contoso", type="smtp", bogus=1)).encode()
    problem(box.push("branding", raw=body), 400, "invalid_envelope")
    body = json.dumps(envelope(box, tenant="contoso", type="smtp")).encode()
    problem(box.push("branding", raw=body), 403, "tenant_mismatch")


def test_the_schema_comes_before_the_module_policy(box: Box) -> None:
    """A push with invalid data and a blocked module is invalid_payload."""
    data = {"overrides": {"website.view": True}, "limits": {"customers": -1}}
    problem(box.push("features", data), 422, "invalid_payload")


def test_an_applied_payload_is_refused_under_another_nonce(box: Box) -> None:
    """The payload is checked before its version, and the refusal names the original with its version."""
    version = next(box.versions)
    body = box.body("branding", {"title": "Sent twice"}, version=version)
    first = box.push("branding", raw=body).json()
    refusal = problem(box.push("branding", raw=body), 409, "duplicate_payload")
    assert refusal["original"] == {
        "request_id": first["request_id"],
        "received_at": box.entry(first["request_id"])["received_at"],
        "status": "applied",
        "version": version,
    }


def test_an_instance_that_the_scheme_signs_may_be_left_out(box: Box) -> None:
    """crm-sync-v1 signs the instance, so the body does not need it."""
    assert box.push("branding", BRANDING, envelope={"instance": None, "version": next(box.versions)}).status_code == 200


def test_the_origin_members_of_the_envelope_are_accepted(box: Box) -> None:
    """A push may have issued_at and source."""
    envelope = {"issued_at": "2026-11-24T02:00:00Z", "source": "control-plane", "version": next(box.versions)}
    assert box.push("branding", BRANDING, envelope=envelope).status_code == 200


def test_the_case_of_a_scheme_does_not_count(box: Box) -> None:
    """``HTTPS:`` is https (RFC 3986, 3.1), for pictures and links."""
    url = "HTTPS://example.com/a.png"
    footer = {"links": [{"label": "A", "url": url}]}
    box.applied("branding", {"logo_url": url, "footer": footer, "support": {"url": url}})
    shown = box.public()["branding"]
    assert (shown["logo_url"], shown["footer"], shown["support"]) == (url, footer, {"url": url})

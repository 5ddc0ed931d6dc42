"""The checks up to verification: each refusal with its status, code and log entry."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest

from contract.box import BRANDING, Box, key_of, problem, roster_key
from contract.conftest import Boxes

STRANGER = bytes(range(101, 133))


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance whose tenant has a key in every state and with every narrowing."""
    keys = [
        roster_key(version=2),
        roster_key(version=3, not_before="2999-01-01T00:00:00Z"),
        roster_key(version=4, not_after="2020-01-01T00:00:00Z"),
        roster_key(version=5, revoked=True),
        roster_key(version=6, sources=["10.0.0.0/8"]),
        roster_key(version=7, types=["features"]),
    ]
    tenants = {
        "northwind": {"keys": keys, "schemes": ["crm-sync-v1", "rfc9421"]},
        "contoso": {"sync": "disabled", "keys": [roster_key("contoso", 1)]},
    }
    return boxes(tenants=tenants)


UNKNOWN: dict[str, Any] = {"payload_version": None, "mode": None, "revision": None, "changes_count": None, "seq": None}
UNREAD = {"scheme": None, "key_version": None, "nonce": None, "payload_bytes": None, "payload_sha256": None}
CASES: list[tuple[str, dict[str, Any], int, str, str, dict[str, Any]]] = [
    ("type", {"path": "/i/eu1/t/northwind/api/v1/sync/nothing"}, 404, "unknown_payload_type", "unchecked", UNREAD),
    ("media type", {"headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type", "unchecked", UNREAD),
    ("no media type", {"headers": {"Content-Type": None}}, 415, "unsupported_media_type", "unchecked", UNREAD),
    (
        "charset",
        {"headers": {"Content-Type": "application/json; charset=latin-1"}},
        415,
        "unsupported_media_type",
        "unchecked",
        UNREAD,
    ),
    ("encoding", {"headers": {"Content-Encoding": "gzip"}}, 415, "unsupported_media_type", "unchecked", UNREAD),
    ("no signature", {"headers": {"Sync-Signature": None}}, 401, "signature_missing", "missing", {"nonce": None}),
    ("no nonce", {"headers": {"Sync-Nonce": None}}, 401, "signature_missing", "missing", {"nonce": None}),
    ("bad hex", {"headers": {"Sync-Signature": "v1=zz"}}, 400, "signature_malformed", "malformed", {"nonce": None}),
    ("upper case", {"headers": {"Sync-Signature": "v1=" + "A" * 64}}, 400, "signature_malformed", "malformed", {}),
    ("short nonce", {"nonce": "short"}, 400, "signature_malformed", "malformed", {"nonce": None}),
    ("signed stamp", {"headers": {"Sync-Timestamp": "+1790000000"}}, 400, "signature_malformed", "malformed", {}),
    ("zero stamp", {"headers": {"Sync-Timestamp": "01790000000"}}, 400, "signature_malformed", "malformed", {}),
    ("two schemes", {"headers": {"Signature": "a=:YQ==:"}}, 400, "ambiguous_signature", "malformed", {"scheme": None}),
    ("key unknown", {"key_version": 9}, 401, "key_unknown", "unknown_key", {"key_version": 9}),
    ("key staged", {"key_version": 3}, 401, "key_inactive", "inactive_key", {"key_version": 3}),
    ("key expired", {"key_version": 4}, 401, "key_inactive", "inactive_key", {"key_version": 4}),
    ("key revoked", {"key_version": 5}, 401, "key_inactive", "inactive_key", {"key_version": 5}),
    ("forged", {"key": STRANGER}, 401, "signature_invalid", "invalid", {"key_version": 2, "actor": None}),
    ("other instance", {"instance": "us9"}, 401, "signature_invalid", "invalid", {"actor": None}),
    ("too old", {"timestamp": 1_600_000_000}, 401, "timestamp_out_of_window", "valid", {"key_version": 2}),
    ("too new", {"timestamp": 4_000_000_000}, 401, "timestamp_out_of_window", "valid", {"key_version": 2}),
    ("source", {"key_version": 6}, 403, "source_not_allowed", "valid", {"key_version": 6}),
    ("section", {"key_version": 7}, 403, "type_not_allowed", "valid", {"key_version": 7}),
]


@pytest.mark.parametrize(
    ("how", "status", "code", "result", "members"),
    [c[1:] for c in CASES if c[2] != 200],
    ids=[c[0] for c in CASES if c[2] != 200],
)
def test_a_failed_check_is_answered_and_logged_and_changes_nothing(  # noqa: PLR0917 -- one row of the table
    box: Box, how: dict[str, Any], status: int, code: str, result: str, members: dict[str, Any]
) -> None:
    """Status and code are those of the table; the entry has the findings so far, and null for the rest."""
    before = box.public()
    refusal = problem(box.push("branding", BRANDING, **how), status, code)
    assert box.public() == before
    entry = box.entry(refusal["request_id"])
    wanted = {
        "status": "rejected",
        "error_code": code,
        "error_message": refusal["detail"],
        "signature_result": result,
        "source_ip": "127.0.0.1",
        "instance": "eu1",
        "tenant": "northwind",
        "count": 1,
        "prev_hash": None,
        "entry_hash": None,
        **UNKNOWN,
        **members,
    }
    assert {name: entry[name] for name in wanted} == wanted


def test_a_scheme_that_the_roster_leaves_out_is_not_accepted(box: Box) -> None:
    """A known scheme that is not in the tenant's schemes is scheme_not_accepted."""
    headers = {"webhook-id": "m1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,YQ=="}
    bare = dict.fromkeys(("Sync-Key-Version", "Sync-Timestamp", "Sync-Nonce", "Sync-Signature"))
    refusal = problem(box.push("branding", BRANDING, headers={**bare, **headers}), 401, "scheme_not_accepted")
    entry = box.entry(refusal["request_id"])
    assert (entry["signature_result"], entry["scheme"]) == ("unchecked", "standard-webhooks")


def test_a_request_without_a_signature_is_refused(box: Box) -> None:
    """Without headers of any scheme: signature_missing, and the entry has no scheme."""
    bare = dict.fromkeys(("Sync-Key-Version", "Sync-Timestamp", "Sync-Nonce", "Sync-Signature"))
    refusal = problem(box.push("branding", BRANDING, headers=bare), 401, "signature_missing")
    assert box.entry(refusal["request_id"])["scheme"] is None


def test_a_repeated_signature_header_is_malformed(box: Box) -> None:
    """A repeated header, of which two readers could use different ones, is signature_malformed."""
    body = box.body("branding", BRANDING)
    signed = list(box.sign("branding", body).items())
    answer = box.client.post(f"{box.base()}/sync/branding", content=body, headers=[*signed, ("Sync-Nonce", "n" * 20)])
    problem(answer, 400, "signature_malformed")


def test_the_header_may_have_several_signatures(box: Box) -> None:
    """One that matches is enough, and unknown versions are ignored."""
    body = box.body("branding", BRANDING)
    good = box.sign("branding", body)["Sync-Signature"]
    signed = box.sign("branding", body, nonce="several-" + "n" * 20)
    signed["Sync-Signature"] = f"v2=abc, v1={'0' * 64} ,{signed['Sync-Signature']},{good}"
    assert box.client.post(f"{box.base()}/sync/branding", content=body, headers=signed).status_code == 200


def test_a_timestamp_out_of_window_shows_both_clocks(box: Box) -> None:
    """The refusal has the server's time, the limit, and the skew: server time minus timestamp."""
    stamp = int(time.time()) - 400
    refusal = problem(box.push("branding", BRANDING, timestamp=stamp), 401, "timestamp_out_of_window")
    assert refusal["skew"] == datetime.fromisoformat(refusal["server_time"]).timestamp() // 1 - stamp
    assert refusal["skew"] >= 400
    assert refusal["skew_seconds"] == 300
    assert refusal["server_time"].endswith("Z")


@pytest.mark.parametrize("offset", [-280, 295])
def test_a_timestamp_within_the_window_is_accepted(box: Box, offset: int) -> None:
    """A timestamp near the limit passes in both directions."""
    assert box.push("branding", BRANDING, timestamp=int(time.time()) + offset).status_code == 200


def test_a_disabled_receiver_refuses_before_other_checks(box: Box) -> None:
    """The media type is not checked; the log of the tenant has the attempt."""
    refusal = problem(
        box.push("branding", BRANDING, tenant="contoso", headers={"Content-Type": "text/plain"}),
        403,
        "receiver_disabled",
    )
    entry = box.entry(refusal["request_id"], tenant="contoso")
    assert (entry["signature_result"], entry["payload_bytes"], entry["nonce"]) == ("unchecked", None, None)


def test_unknown_instances_and_tenants_come_first(box: Box) -> None:
    """They are 421 and 404 before any other error of the request."""
    for path, status, code in (
        ("/i/us9/t/northwind/api/v1/sync/branding", 421, "misdirected_instance"),
        ("/i/us9/t/absent/api/v1/sync/nothing", 421, "misdirected_instance"),
        ("/i/eu1/t/absent/api/v1/sync/nothing", 404, "unknown_tenant"),
    ):
        problem(box.client.post(path, content=b"x"), status, code)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"path": "/i/eu1/t/northwind/api/v1/sync/nothing"}, {"headers": {"Content-Type": "text/plain"}}),
        ({"headers": {"Content-Type": "text/plain"}}, {"headers": {"Sync-Signature": None}}),
        ({"headers": {"Sync-Signature": None}}, {"key_version": 9}),
        ({"headers": {"Sync-Signature": "v1=zz"}}, {"key_version": 9}),
        ({"key_version": 9}, {"timestamp": 1_600_000_000}),
        ({"key_version": 5}, {"key": STRANGER}),
        ({"key": STRANGER}, {"timestamp": 1_600_000_000}),
        ({"key": key_of(version=3)}, {"raw": b"{"}),
        ({"timestamp": 1_600_000_000}, {"key_version": 6}),
        ({"key_version": 6}, {"raw": b"{"}),
        ({"key_version": 7}, {"raw": b"{"}),
    ],
)
def test_of_two_failures_the_earlier_check_answers(box: Box, earlier: dict[str, Any], later: dict[str, Any]) -> None:
    """A request that fails two neighbouring checks gets the code of the earlier one."""
    alone = box.push("branding", BRANDING, **earlier)
    headers = {**later.get("headers", {}), **earlier.get("headers", {})}
    both = box.push("branding", BRANDING, **{**later, **earlier, "headers": headers})
    problem(both, alone.status_code, alone.json()["code"])


def test_the_nonce_counts_only_after_source_and_section(box: Box) -> None:
    """A sender that may not push is not shown whether a nonce is used."""
    nonce = "used-" + "n" * 20
    assert box.push("features", {}, nonce=nonce, key_version=7).status_code == 200
    problem(box.push("branding", BRANDING, nonce=nonce, key_version=7), 403, "type_not_allowed")
    problem(box.push("features", {}, nonce=nonce, key_version=7), 409, "replayed_nonce")


def test_nonces_are_separate_for_each_key(box: Box) -> None:
    """The same nonce under another key is unused."""
    nonce = "apart-" + "n" * 20
    assert box.push("features", {}, nonce=nonce, key_version=7).status_code == 200
    assert box.push("features", {}, nonce=nonce, key_version=2).status_code == 200


def test_a_combined_push_is_checked_by_its_sections(box: Box) -> None:
    """With a key limited to a section that section passes, another one is refused with its nonce used."""
    assert box.push("combined", {"features": {}}, key_version=7).status_code == 200
    nonce = "combined-" + "n" * 20
    refusal = problem(
        box.push("combined", {"features": {}, "branding": {}}, key_version=7, nonce=nonce), 403, "type_not_allowed"
    )
    assert box.entry(refusal["request_id"])["seq"] is not None
    problem(box.push("combined", {"features": {}}, key_version=7, nonce=nonce), 409, "replayed_nonce")

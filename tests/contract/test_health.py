"""Sync health: who may read it, its members, and what turns it degraded or stale."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785

from contract.box import BRANDING, SMTP, Box, good, key_of, problem, roster_key, until
from contract.conftest import Boxes
from crm_core.settings.reload import POLL_SECONDS


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance with a tenant for each state."""
    tenants: dict[str, Any] = {
        "northwind": {
            "keys": [roster_key(version=2), roster_key(version=3, types=["branding"])],
            "expect_every": "24h",
        },
        "off": {"sync": "disabled", "keys": [roster_key("off", 1)]},
        "keyless": {"keys": [roster_key("keyless", 1, not_after="2020-01-01T00:00:00Z")]},
        "silent": {"keys": [roster_key("silent", 1)], "expect_every": "1h"},
        "edited": {"keys": [roster_key("edited", 1)]},
        "prompt": {"keys": [roster_key("prompt", 1)], "expect_every": "1s"},
        "failing": {"keys": [roster_key("failing", 1)]},
        "mistaken": {"keys": [roster_key("mistaken", 1)]},
        "states": {
            "schemes": ["crm-sync-v1"],
            "keys": [
                roster_key("states", 1, not_after="2020-01-01T00:00:00Z"),
                roster_key("states", 2, sources=["127.0.0.0/8"], types=["smtp", "branding"]),
                roster_key("states", 3, revoked=True),
                roster_key("states", 4, not_before="2999-01-01T00:00:00Z"),
            ],
        },
    }
    return boxes(tenants=tenants)


def signed(box: Box, tenant: str = "northwind", **how: Any) -> Any:
    """A signed GET of health."""
    return box.client.get(f"{box.base(tenant)}/sync/health", headers=box.sign("health", b"", tenant=tenant, **how))


def test_health_has_the_members_of_the_contract(box: Box) -> None:
    """Health has every member, in its form."""
    box.applied("branding", {"title": "Before"})
    answer = box.applied("branding", BRANDING)
    health = box.health()
    assert health.keys() == {
        *("status", "reasons", "enabled", "instance", "tenant", "expected_key", "accepted_keys", "schemes"),
        *("payload_types", "sections", "skew_seconds", "server_time", "last_success", "last_failure", "counts"),
        *("log_head", "roster"),
    }
    assert (health["status"], health["reasons"], health["enabled"]) == ("ok", [], True)
    assert health["schemes"] == ["crm-sync-v1", "rfc9421", "standard-webhooks"]
    assert health["payload_types"] == ["branding", "combined", "features", "smtp", "workspace"]
    assert health["sections"]["branding"] == {
        "version": answer["version"],
        "min_version": answer["version"] + 1,
        "revision": answer["revision"],
        "applied_at": answer["applied_at"],
        "request_id": answer["request_id"],
        "sha256": hashlib.sha256(rfc8785.dumps(BRANDING)).hexdigest(),
    }
    assert health["last_success"]["request_id"] == answer["request_id"]
    assert health["log_head"] == answer["log_head"]
    assert health["roster"]["error"] is None
    assert health["counts"]["24h"].keys() == {"applied", "unchanged", "rejected", "failed", "unverified"}


def test_accepted_keys_lists_every_key_with_its_state(box: Box) -> None:
    """Staged, active, expired and revoked; the newest active one is expected; secrets show as fingerprints."""
    health = box.health("states")
    keys = {key["key_version"]: key for key in health["accepted_keys"]}
    assert {version: key["state"] for version, key in keys.items()} == {
        1: "expired",
        2: "active",
        3: "revoked",
        4: "staged",
    }
    assert health["expected_key"] == "states:2"
    assert health["schemes"] == ["crm-sync-v1"]
    assert keys[2] == {
        "key_version": 2,
        "state": "active",
        "not_before": None,
        "not_after": None,
        "fingerprint": "sha256:" + hashlib.sha256(key_of("states", 2)).hexdigest()[:16],
        "kind": "secret",
        "schemes": None,
        "types": ["branding", "smtp"],
        "last_used_at": None,
        "uses": 0,
    }
    assert keys[1]["not_after"].startswith("2020-01-01T00:00:00")
    assert keys[4]["not_before"].startswith("2999-01-01T00:00:00")
    answer = box.applied("branding", {}, tenant="states", key_version=2)
    used = {key["key_version"]: key for key in box.health("states")["accepted_keys"]}[2]
    assert (used["uses"], used["last_used_at"]) == (1, box.entry(answer["request_id"], "states")["received_at"])


def test_a_secret_counts_as_set_in_the_hash_of_a_section(box: Box) -> None:
    """A platform recomputes it without knowing whether the password is still the same."""
    box.applied("smtp", SMTP)
    shown = {**SMTP, "password": {"set": True}}
    assert box.health()["sections"]["smtp"]["sha256"] == hashlib.sha256(rfc8785.dumps(shown)).hexdigest()


def test_health_is_for_tokens_with_its_scope_and_for_signed_requests(box: Box) -> None:
    """401 without anything, 403 without the scope; with both, the signature counts."""
    path = f"{box.base()}/sync/health"
    problem(box.client.get(path), 401, "unauthenticated")
    problem(box.client.get(path, headers=box.bearer(tenant="off")), 401, "unauthenticated")
    problem(box.client.get(path, headers=box.bearer("sync:read")), 403, "insufficient_scope")
    good(box.client.get(path, headers=box.bearer("sync:health")))
    forged = {**box.sign("health", b"", key=b"x" * 32), **box.bearer()}
    problem(box.client.get(path, headers=forged), 401, "signature_invalid")


def test_signed_health_leaves_no_entry_and_its_nonce_is_used(box: Box) -> None:
    """A success is not logged; a failure is, as payload type health, outside the chain."""
    before = good(box.get("sync/log", limit="500"))["items"]
    headers = box.sign("health", b"")
    good(box.client.get(f"{box.base()}/sync/health", headers=headers))
    assert good(box.get("sync/log", limit="500"))["items"] == before
    refusal = problem(box.client.get(f"{box.base()}/sync/health", headers=headers), 409, "replayed_nonce")
    assert refusal["original"]["request_id"]
    for answer, code in (
        (signed(box, timestamp=1_600_000_000), "timestamp_out_of_window"),
        (signed(box, key_version=9), "key_unknown"),
        (box.client.get(f"{box.base()}/sync/health", headers=box.sign("branding", b"")), "signature_invalid"),
    ):
        refused = problem(answer, 401, code)
        entry = box.entry(refused["request_id"])
        assert (entry["payload_type"], entry["seq"], entry["status"]) == ("health", None, "rejected")


def test_signed_health_skips_the_receivers_switch_and_the_keys_types(box: Box) -> None:
    """A platform sees that the receiver is off; a key limited to a section sees only that section."""
    off = good(signed(box, "off", key_version=1))
    assert (off["status"], off["enabled"]) == ("disabled", False)
    box.applied("branding", BRANDING)
    box.applied("smtp", SMTP)
    assert good(signed(box, key_version=3))["sections"].keys() == {"branding"}
    assert good(signed(box, key_version=2))["sections"].keys() >= {"branding", "smtp"}


@pytest.mark.parametrize("query", ["?", "?a=1"])
def test_health_takes_no_query(box: Box, query: str) -> None:
    """Health with a query is refused, signed or not."""
    for headers in (box.sign("health", b""), box.bearer()):
        answer = box.client.get(f"{box.base()}/sync/health{query}", headers=headers)
        if query == "?":
            assert answer.status_code in {200, 400}
        else:
            problem(answer, 400, "invalid_parameter")


def test_disabled_says_so_in_a_sentence(box: Box) -> None:
    """A tenant whose entry says sync: disabled has a reason that says so."""
    health = box.health("off")
    assert (health["status"], health["enabled"]) == ("disabled", False)
    assert len(health["reasons"]) == 1


def test_no_active_key_is_degraded(box: Box) -> None:
    """A tenant without an active key accepts no push."""
    health = box.health("keyless")
    assert (health["status"], health["expected_key"]) == ("degraded", None)
    assert "key" in health["reasons"][0]


def test_the_last_five_verified_attempts_failed_is_degraded(box: Box) -> None:
    """Four are not enough, unverified attempts do not count, and an applied push ends it."""
    push: dict[str, Any] = {"tenant": "failing", "key_version": 1}
    for _ in range(4):
        problem(box.push("branding", {"title": 5}, **push), 422, "invalid_payload")
    problem(box.push("branding", {}, timestamp=1, **push), 401, "timestamp_out_of_window")
    assert box.health("failing")["status"] == "ok"
    last = problem(box.push("branding", {"colors": 5}, **push), 422, "invalid_payload")
    health = box.health("failing")
    assert health["status"] == "degraded"
    assert "invalid_payload" in health["reasons"][0]
    assert health["last_failure"]["request_id"] == last["request_id"]
    assert health["last_failure"]["error_code"] == "invalid_payload"
    assert health["counts"]["24h"] == {"applied": 0, "unchanged": 0, "rejected": 5, "failed": 0, "unverified": 1}
    box.applied("branding", {}, **push)
    assert box.health("failing")["status"] == "ok"


def test_a_secret_that_differs_on_both_sides_is_a_reason_but_no_status(box: Box) -> None:
    """Forged pushes do not turn a tenant red, and an admin sees that signatures do not match."""
    for _ in range(5):
        problem(
            box.push("branding", BRANDING, tenant="mistaken", key=b"x" * 32, key_version=1), 401, "signature_invalid"
        )
    health = box.health("mistaken")
    assert health["status"] == "ok"
    assert "do not match mistaken:1" in health["reasons"][0]
    good(box.push("branding", BRANDING, tenant="mistaken", key_version=1))
    assert box.health("mistaken")["reasons"] == []


@pytest.mark.parametrize(
    ("mistake", "code", "why"),
    [
        ({"key_version": 9}, "key_unknown", "no key of version 9"),
        ({"key_version": 1, "timestamp": 1}, "timestamp_out_of_window", "Set the clock that is wrong."),
    ],
)
def test_keys_and_clocks_that_differ_are_a_reason_but_no_status(
    box: Box, mistake: dict[str, Any], code: str, why: str
) -> None:
    """The reason is the newest attempt's error; unsigned attempts do not hide it, a verified one ends it."""
    for _ in range(5):
        problem(box.push("branding", BRANDING, tenant="mistaken", **mistake), 401, code)
        unsigned = box.client.post(f"{box.base('mistaken')}/sync/branding", json={})
        problem(unsigned, 401, "signature_missing")
    health = box.health("mistaken")
    assert health["status"] == "ok"
    assert why in health["reasons"][0]
    box.applied("branding", {}, tenant="mistaken", key_version=1)
    assert box.health("mistaken")["reasons"] == []


def test_a_push_that_is_overdue_makes_it_stale(box: Box) -> None:
    """Health is stale if no push was applied within expect_every, or none at all."""
    assert box.health("silent")["status"] == "stale"
    box.applied("branding", {}, tenant="silent", key_version=1)
    assert box.health("silent")["status"] == "ok"
    box.applied("branding", {}, tenant="prompt", key_version=1)
    until(lambda: box.health("prompt")["status"] == "stale", lambda: "never stale")
    assert "expected" in box.health("prompt")["reasons"][0]


def test_a_refused_roster_edit_is_degraded_and_the_last_good_one_stays(box: Box) -> None:
    """Health has file, line and column until the file is fixed, and no words of it; pushes are still accepted."""
    good_text = (box.config / "keys.yaml").read_text()
    (box.config / "keys.yaml").write_text("tenants:\n  northwind:\n    keys:\n      - version: one\n")
    box.reload(lambda: box.health()["roster"]["error"] is not None)
    health = box.health()
    assert health["status"] == "degraded"
    assert "keys.yaml:4:18: " in health["roster"]["error"]
    assert "whole number" not in str(health)
    until(lambda: "whole number" in box.log_text(), lambda: "not logged")
    box.applied("branding", BRANDING)
    assert "keys.yaml:4:18: " in box.log_text()
    (box.config / "keys.yaml").write_text(good_text)
    box.reload(lambda: box.health()["roster"]["error"] is None)
    assert box.health()["status"] == "ok"


def test_an_edit_is_picked_up_without_a_signal(box: Box) -> None:
    """An edited roster is in effect without a restart; the files are read more often than every two seconds."""
    assert POLL_SECONDS < 2
    box.roster["edited"]["sync"] = "disabled"
    box.write_roster()
    until(lambda: not box.health("edited")["enabled"], lambda: "not picked up")


def test_a_switch_for_the_whole_instance(boxes: Boxes) -> None:
    """sync.enabled: false refuses every push; health names the file."""
    box = boxes(settings={"sync": {"enabled": False}})
    problem(box.push("branding", BRANDING), 403, "receiver_disabled")
    health = box.health()
    assert (health["status"], health["enabled"]) == ("disabled", False)
    assert "instance.yaml" in health["reasons"][0]


def test_a_tenant_without_an_entry_is_disabled(boxes: Boxes) -> None:
    """The receiver of a store without a roster entry is off; an entry without a store is an unknown tenant."""
    box = boxes(start=False)
    box.roster = {"elsewhere": {"keys": [roster_key("elsewhere", 1)]}}
    box.write_roster()
    box.start()
    assert box.health()["status"] == "disabled"
    problem(box.push("branding", BRANDING), 403, "receiver_disabled")
    problem(box.push("branding", BRANDING, tenant="elsewhere", key_version=1), 404, "unknown_tenant")

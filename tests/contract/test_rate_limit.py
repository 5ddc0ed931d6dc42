"""Attempts that fail verification are limited; verified ones are never delayed by them."""

from __future__ import annotations

import time

import pytest

from contract.box import BRANDING, Box, good, problem, until
from contract.conftest import Boxes

LIMIT = 5


@pytest.fixture
def box(boxes: Boxes) -> Box:
    """An instance that accepts five unverified attempts a minute, with enough of the minute left."""
    box = boxes(settings={"sync": {"unverified_per_minute": LIMIT}, "trusted_proxies": ["127.0.0.1/32"]})
    until(lambda: time.time() % 60 < 45, lambda: "the minute does not end")
    return box


def test_past_the_limit_attempts_must_wait_and_good_pushes_pass(box: Box) -> None:
    """Attempts get 429 with Retry-After instead of their code; replays count too; one entry counts them all."""
    body, nonce = box.body("branding", BRANDING), "limited-" + "n" * 20
    assert box.push("branding", raw=body, nonce=nonce).status_code == 200
    for _ in range(LIMIT - 1):
        problem(box.push("branding", BRANDING, headers={"Sync-Signature": None}), 401, "signature_missing")
    problem(box.push("branding", raw=body, nonce=nonce), 409, "replayed_nonce")
    refused = [
        box.push("branding", BRANDING, headers={"Sync-Signature": None}),
        box.push("branding", raw=body, nonce=nonce),
        box.push("branding", BRANDING, headers={"Content-Type": "text/plain"}),
        box.push("branding", BRANDING, path="/i/eu1/t/northwind/api/v1/sync/nothing"),
        box.client.get(f"{box.base()}/sync/health", headers={**box.sign("health", b""), "Sync-Nonce": "n" * 20}),
        box.push("branding", BRANDING, path="/i/eu1/t/absent/api/v1/sync/branding"),
        box.push("branding", BRANDING, path="/i/us9/t/northwind/api/v1/sync/branding"),
    ]
    for answer in refused:
        refusal = problem(answer, 429, "rate_limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 61
        assert "original" not in refusal
    assert box.applied("branding", {"title": "passes"})["status"] == "applied"
    problem(box.push("branding", {"title": 5}), 422, "invalid_payload")
    assert good(box.client.get(f"{box.base()}/sync/health", headers=box.sign("health", b"")))["enabled"]
    entries = good(box.get("sync/log", error_code="rate_limited"))["items"]
    assert [entry["count"] for entry in entries] == [5]
    assert "replayed_nonce" not in {entry["error_code"] for entry in entries}
    assert box.health()["counts"]["24h"]["unverified"] == LIMIT + 5


def test_each_source_has_its_own_count(box: Box) -> None:
    """Behind a trusted proxy the source is the client; IPv6 counts by its /64."""

    def attempt(source: str) -> int:
        headers = {"Sync-Signature": None, "X-Forwarded-For": source}
        return box.push("branding", BRANDING, headers=headers).status_code

    assert [attempt("192.0.2.1") for _ in range(LIMIT + 1)] == [401] * LIMIT + [429]
    assert attempt("192.0.2.2") == 401
    assert [attempt(f"2001:db8::{n}") for n in range(1, LIMIT + 2)] == [401] * LIMIT + [429]
    assert attempt("2001:db8:0:1::1") == 401
    assert attempt("203.0.113.9, 192.0.2.1") == 429
    assert attempt("192.0.2.1, 203.0.113.9") == 401


def test_a_push_for_no_tenant_is_in_the_server_log(box: Box) -> None:
    """The server's log has the request, the tenants' folder nothing; past the limit there is one line."""
    files = sorted(box.folder.joinpath("tenants").rglob("*"))
    ids = [
        problem(box.push("branding", BRANDING, path="/i/eu1/t/absent/api/v1/sync/branding"), 404, "unknown_tenant")[
            "request_id"
        ]
        for _ in range(LIMIT)
    ]
    for _ in range(LIMIT):
        problem(box.push("branding", BRANDING, path="/i/eu1/t/absent/api/v1/sync/branding"), 429, "rate_limited")
    lines = [line for line in box.log_text().splitlines() if "push_astray" in line]
    assert len(lines) == LIMIT + 1
    assert all(request in line and "absent" in line for request, line in zip(ids, lines, strict=False))
    assert sorted(box.folder.joinpath("tenants").rglob("*")) == files

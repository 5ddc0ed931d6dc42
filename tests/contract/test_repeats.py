"""``repeats: accept``, for senders to which any non-2xx is a failure."""

from __future__ import annotations

import base64
import hmac
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from contract.box import BRANDING, Box, good, key_of, problem, roster_key, until
from contract.conftest import Boxes


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance whose tenant accepts repeats; one unverified attempt a minute would be too many."""
    tenants = {"northwind": {"repeats": "accept", "keys": [roster_key()]}}
    return boxes(tenants=tenants, settings={"sync": {"unverified_per_minute": 2}})


def test_a_repeat_of_an_applied_push_is_answered_with_its_original(box: Box) -> None:
    """A repeat changes nothing, is logged outside the chain, and counts against no limit."""
    body, nonce = box.body("branding", {"title": "Repeated"}), "again-" + "n" * 20
    first = box.applied("branding", None, raw=body, nonce=nonce)
    after = box.health()
    for _ in range(5):
        answer = good(box.push("branding", raw=body, nonce=nonce))
        assert answer["status"] == "already_applied"
        assert answer["original"]["request_id"] == first["request_id"]
        assert answer["original"]["version"] == first["version"]
        entry = box.entry(answer["request_id"])
        assert (entry["seq"], entry["prev_hash"], entry["status"]) == (None, None, "applied")
    health = box.health()
    assert health["log_head"] == after["log_head"]
    assert health["sections"]["branding"]["revision"] == first["revision"]
    assert health["counts"] == after["counts"]


def test_only_the_same_body_of_an_applied_push_is_a_repeat(box: Box) -> None:
    """Another body under the nonce, and repeats of what was refused or previewed, are replays."""
    nonces = [f"other-{n}" + "n" * 20 for n in range(3)]
    until(lambda: time.time() % 60 < 45, lambda: "the minute does not end")  # its attempts are counted together
    box.applied("branding", BRANDING, nonce=nonces[0])
    problem(box.push("branding", {"title": "another"}, nonce=nonces[0]), 409, "replayed_nonce")
    refused = box.body("branding", {"title": 5})
    problem(box.push("branding", raw=refused, nonce=nonces[1]), 422, "invalid_payload")
    problem(box.push("branding", raw=refused, nonce=nonces[1]), 409, "replayed_nonce")
    preview = box.body("branding", {"title": "p"}, mode="preview")
    box.applied("branding", None, raw=preview, nonce=nonces[2])
    problem(box.push("branding", raw=preview, nonce=nonces[2]), 429, "rate_limited")


def test_twins_at_the_same_moment_are_one_push_and_its_repeat(box: Box) -> None:
    """Of twins that race, one is applied and the others are answered as already_applied."""
    body, nonce = box.body("branding", {"title": "twin"}), "twins-" + "n" * 20
    headers, address = box.sign("branding", body, nonce=nonce), f"{box.client.base_url}{box.base()}/sync/branding"
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: httpx.post(address, content=body, headers=headers), range(12)))
    response = sorted(good(answer)["status"] for answer in answers)
    assert response == ["already_applied"] * 11 + ["applied"]
    problem(box.push("branding", raw=body), 409, "duplicate_payload")


def webhook(body: bytes, nonce: str) -> dict[str, str]:
    """The headers of Standard Webhooks, which sign no address."""
    stamp = str(int(time.time()))
    mac = hmac.digest(key_of(), f"{nonce}.{stamp}.".encode() + body, "sha256")
    signature = f"v1,{base64.b64encode(mac).decode()}"
    fields = {"webhook-id": nonce, "webhook-timestamp": stamp, "webhook-signature": signature}
    return {**fields, "Content-Type": "application/json"}


def test_a_repeat_comes_to_the_address_of_its_original(boxes: Boxes) -> None:
    """A scheme that does not sign the address: the same request at another payload type's is a replay."""
    box = boxes(tenants={"northwind": {"repeats": "accept", "keys": [roster_key()]}})
    body, nonce = box.body("branding", BRANDING, instance="eu1"), "address-" + "n" * 20
    headers = webhook(body, nonce)
    address = f"{box.client.base_url}{box.base()}/sync"
    assert good(httpx.post(f"{address}/branding", content=body, headers=headers))["status"] == "applied"
    assert good(httpx.post(f"{address}/branding", content=body, headers=headers))["status"] == "already_applied"
    problem(httpx.post(f"{address}/workspace", content=body, headers=headers), 409, "replayed_nonce")

"""Platforms, admins and readers at the same time: the result equals some order, and a restart changes nothing."""

from __future__ import annotations

import hashlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import rfc8785

from contract.box import SMTP, Box, good, roster_key
from contract.conftest import Boxes

TENANTS = ["north", "south", "west"]
HISTORY_KEEP = 3
DATA: dict[str, dict[str, Any]] = {
    "branding": {"title": "B"},
    "workspace": {"locale": "de"},
    "smtp": SMTP,
    "combined": {"branding": {"title": "C"}, "workspace": {"locale": "fr"}},
}


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance after random requests of ten clients at the same time."""
    tenants = {name: {"keys": [roster_key(name)]} for name in TENANTS}
    box = boxes(tenants=tenants, settings={"sync": {"history_keep": HISTORY_KEEP}})
    for tenant in TENANTS:
        box.bearer(tenant=tenant)
    with ThreadPoolExecutor(10) as pool:
        unexpected = [
            text for texts in pool.map(lambda seed: visit(box, random.Random(seed)), range(10)) for text in texts
        ]
    assert unexpected == []
    return box


def visit(box: Box, choice: random.Random) -> list[str]:
    """Run one client's random requests; returns the unexpected answers."""
    answers = []
    with httpx.Client(base_url=box.client.base_url, timeout=30) as client:
        for _ in range(40):
            tenant = choice.choice(TENANTS)
            reader, base = box.bearer(tenant=tenant), box.base(tenant)
            if choice.random() < 0.7:
                kind, version = choice.choice(sorted(DATA)), int(time.time() * 1e6) + choice.randrange(2_000_000)
                mode, strategy = choice.choice(["apply", "apply", "preview"]), choice.choice(["replace", "merge"])
                body = box.body(kind, DATA[kind], tenant, version=version, mode=mode, strategy=strategy)
                signed = box.sign(kind, body, tenant=tenant)
                answers.append((client.post(f"{base}/sync/{kind}", content=body, headers=signed), {200, 409}))
                continue
            history = client.get(f"{base}/sync/history/branding", headers=reader)
            answers.append((history, {200}))
            for item in history.json()["items"][-1:]:
                path = f"{base}/sync/history/branding/{item['revision']}/restore"
                answers.append((client.post(path, headers=reader), {200, 404}))
            answers += [(client.get(f"{base}/{path}", headers=reader), {200}) for path in ("sync/health", "bootstrap")]
    return [answer.text for answer, statuses in answers if answer.status_code not in statuses]


def entries(box: Box, tenant: str) -> list[dict[str, Any]]:
    """The chain, oldest first."""
    items = good(box.get("sync/log", tenant=tenant, limit="500"))["items"]
    return [entry for entry in reversed(items) if entry["seq"] is not None]


@pytest.mark.parametrize("tenant", TENANTS)
def test_every_attempt_is_one_link_and_every_revision_one_push(box: Box, tenant: str) -> None:
    """The chain has no gap and no fork, accepted pushes and restores count revisions up, versions only rise."""
    # Attempts of one moment may commit in another order than they came in.
    chain, head = sorted(entries(box, tenant), key=lambda entry: entry["seq"]), "0" * 64
    for seq, entry in enumerate(chain, start=1):
        members = {name: value for name, value in entry.items() if name not in ("prev_hash", "entry_hash")}
        assert (entry["seq"], entry["prev_hash"]) == (seq, head)
        head = hashlib.sha256(head.encode() + b"\n" + rfc8785.dumps(members)).hexdigest()
        assert entry["entry_hash"] == head
    accepted = [entry for entry in chain if entry["status"] in ("applied", "unchanged")]
    assert [entry["revision"] for entry in accepted] == list(range(1, len(accepted) + 1))
    highest: dict[str, int] = {}
    for entry in accepted:
        if entry["key_version"] is None:
            continue
        for section in DATA["combined"] if entry["payload_type"] == "combined" else (entry["payload_type"],):
            assert entry["payload_version"] > highest.get(section, 0)
            highest[section] = entry["payload_version"]
    floors = {name: one["min_version"] - 1 for name, one in box.health(tenant)["sections"].items()}
    assert floors == highest


@pytest.mark.parametrize("tenant", TENANTS)
def test_history_ends_with_the_current_revision(box: Box, tenant: str) -> None:
    """The newest revision is the current one, pushes that left it only raise its version; the history has its limit."""
    for name, section in box.health(tenant)["sections"].items():
        items = good(box.get(f"sync/history/{name}", tenant=tenant))["items"]
        assert len(items) <= HISTORY_KEEP
        assert items[0]["revision"] == section["revision"]
        assert items[0]["version"] <= section["version"]


def test_a_restart_changes_nothing(box: Box) -> None:
    """Sections, chain and bootstrap are as they were, and the chain verifies."""

    def state() -> list[Any]:
        seen = [(box.health(tenant), box.bootstrap(tenant), entries(box, tenant)) for tenant in TENANTS]
        return [(health["sections"], health["log_head"], *rest) for health, *rest in seen]

    before = state()
    box.stop()
    box.start()
    assert state() == before
    for tenant in TENANTS:
        box.crm("log", "verify", "--tenant", tenant)

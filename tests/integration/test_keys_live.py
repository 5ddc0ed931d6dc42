"""The life of keys and the way back from a bad push, against a running server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.box import BRANDING, PLAN, Box, good, problem, roster_key

LARGEST = 2**53 - 1


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    try:
        yield made.create_tenants().start()
    finally:
        assert made.stop() == 0


def edited(box: Box, **states: str) -> None:
    """Wait until the server has the keys in these states, ``k2="revoked"``."""

    def settled() -> bool:
        keys = {f"k{key['key_version']}": key["state"] for key in box.health()["accepted_keys"]}
        return states.items() <= keys.items()

    box.reload(settled)


def add_key(box: Box, version: int, **members: object) -> None:
    """A further key, by the admin's command."""
    secret = roster_key(version=version)["secret"]
    box.crm("keys", "rotate", "northwind", "--secret", secret, "--overlap", "1h", "--force")


def test_a_revoked_key_cannot_lock_its_successor_out(box: Box) -> None:
    """The largest version there is, pushed with a key that is then revoked, counts no longer: version 5 is applied."""
    box.applied("branding", BRANDING, envelope={"version": LARGEST})
    add_key(box, 3)
    edited(box, k3="active")
    problem(box.push("branding", {"title": "B"}, envelope={"version": 5}, key_version=3), 409, "stale_version")
    box.crm("keys", "revoke", "northwind", "2")
    edited(box, k2="revoked")
    assert box.health()["sections"]["branding"]["min_version"] == 1
    assert box.applied("branding", {"title": "B"}, envelope={"version": 5}, key_version=3)["version"] == 5
    problem(box.push("branding", {"title": "C"}, envelope={"version": 5}, key_version=3), 409, "stale_version")
    problem(box.push("branding", {"title": "D"}, envelope={"version": 9}, key_version=2), 401, "key_inactive")


@pytest.mark.parametrize(("change", "code"), [("revoke", "key_inactive"), ("disable", "receiver_disabled")])
def test_a_body_that_comes_late_is_judged_by_the_roster_of_its_end(box: Box, change: str, code: str) -> None:
    """A push that began before its key was revoked, or its receiver disabled, does not outlive that."""
    body = box.body("branding", BRANDING)
    fields = {"Host": "crm", "Connection": "close", "Content-Length": str(len(body)), **box.sign("branding", body)}
    head = f"POST {box.base()}/sync/branding HTTP/1.1\r\n" + "".join(f"{name}: {fields[name]}\r\n" for name in fields)
    with socket.create_connection(("127.0.0.1", box.port), timeout=20) as late, late.makefile("rb") as answer:
        late.sendall(head.encode() + b"\r\n" + body[:1])
        assert box.health()["enabled"]
        if change == "revoke":
            box.crm("keys", "revoke", "northwind", "2")
            edited(box, k2="revoked")
        else:
            box.roster["northwind"]["sync"] = "disabled"
            box.write_roster()
            box.reload(lambda: not box.health()["enabled"])
        late.sendall(body[1:])
        assert answer.readline().split()[1] == (b"401" if change == "revoke" else b"403")
        assert code.encode() in answer.read()
    assert "branding" not in box.health()["sections"]


@pytest.mark.parametrize("how", ["expired", "taken away"])
def test_the_versions_of_a_retired_key_go_on_counting(box: Box, how: str) -> None:
    """A key that has served its time, or whose entry is gone, leaves its floor to its successor."""
    box.applied("branding", BRANDING, envelope={"version": 40})
    box.roster["northwind"]["keys"] = [roster_key(version=3)]
    if how == "expired":
        box.roster["northwind"]["keys"].append(roster_key(not_after="2026-01-01T00:00:00Z"))
    box.write_roster()
    edited(box, k3="active")
    answer = problem(box.push("branding", {"title": "B"}, envelope={"version": 7}, key_version=3), 409, "stale_version")
    assert answer["current"] == {"branding": 40}
    box.applied("branding", {"title": "B"}, envelope={"version": 41}, key_version=3)


def test_a_key_for_branding_can_push_nothing_else(box: Box) -> None:
    """Neither another section nor one hidden in a combined push passes, and nothing of that push is applied."""
    box.roster["northwind"]["keys"].append(roster_key(version=3, types=["branding"]))
    box.write_roster()
    edited(box, k3="active")
    problem(box.push("features", {"plan": PLAN}, key_version=3), 403, "type_not_allowed")
    both = {"branding": {"title": "B"}, "features": {"plan": PLAN}}
    problem(box.push("combined", both, key_version=3), 403, "type_not_allowed")
    assert box.health()["sections"].keys() == set() or "version" not in box.health()["sections"].get("branding", {})
    box.applied("combined", {"branding": {"title": "B"}}, key_version=3)
    assert set(
        good(box.client.get(f"{box.base()}/sync/health", headers=box.sign("health", b"", key_version=3)))["sections"]
    ) == {"branding"}


def test_the_use_of_each_key_is_listed(box: Box) -> None:
    """An admin sees when a key was last used and how often, so that the old one can go."""
    box.roster["northwind"]["keys"].append(roster_key(version=3))
    box.write_roster()
    edited(box, k3="active")
    box.applied("branding", {"title": "A"})
    assert "used once, last " in box.crm("keys", "list")
    box.applied("branding", {"title": "B"})
    new, old = json.loads(box.crm("keys", "list", "northwind", "--json"))
    assert (new["key_version"], new["uses"], new["last_used_at"]) == (3, 0, None)
    assert (old["key_version"], old["uses"]) == (2, 2)
    health = {key["key_version"]: key for key in box.health()["accepted_keys"]}
    assert old["last_used_at"] == health[2]["last_used_at"]
    answer = box.crm("keys", "list")
    assert "not used yet" in answer
    assert f"used 2 times, last {old['last_used_at']}" in answer


def test_a_bad_push_is_undone_in_one_call(box: Box) -> None:
    """Restore makes the earlier revision a new one; the bad push is not taken again, a higher version is."""
    box.applied("branding", {"title": "Good"}, envelope={"version": 1})
    bad = box.body("branding", {"title": "Bad"}, version=2)
    assert box.push("branding", raw=bad).status_code == 200
    items = json.loads(box.crm("history", "branding", "--tenant", "northwind", "--json"))
    assert [(item["revision"], item["version"], item["actor"]) for item in items] == [(2, 2, "key:2"), (1, 1, "key:2")]
    assert items[0]["changes"] == [{"pointer": "/branding/title", "from": "Good", "to": "Bad"}]
    of_the_api = good(box.get("sync/history/branding"))["items"]
    assert items == [{**item, "payload_type": "branding"} for item in of_the_api]
    preview = box.crm("restore", "branding", "1", "--tenant", "northwind", "--preview")
    assert '~ /branding/title: "Bad" -> "Good"' in preview
    assert box.public()["branding"]["title"] == "Bad"
    assert "restored revision 1 of branding as revision 3" in box.crm(
        "restore", "branding", "1", "--tenant", "northwind"
    )
    assert box.public()["branding"]["title"] == "Good"
    problem(box.push("branding", raw=bad), 409, "duplicate_payload")
    problem(box.push("branding", {"title": "Bad!"}, envelope={"version": 2}), 409, "stale_version")
    box.applied("branding", {"title": "Better"}, envelope={"version": 3})
    shown = box.crm("history", "branding", "--tenant", "northwind")
    assert "revision 3  version 1  " in shown
    assert "console" in shown


def test_history_says_what_it_cannot_do(box: Box) -> None:
    """Nothing pushed, no such section, no such revision, no such tenant: exit 1 with a sentence, or an empty list."""
    assert "No push has changed smtp" in box.crm("history", "smtp", "--tenant", "northwind")
    assert "Unknown section 'colour'" in box.crm("history", "colour", "--tenant", "northwind", code=1)
    assert "has no revision 9" in box.crm("restore", "branding", "9", "--tenant", "northwind", code=1)
    assert "unknown_tenant" in box.crm("history", "smtp", "--tenant", "acme", code=1)


def test_a_first_key_is_numbered_above_those_that_the_log_knows(box: Box) -> None:
    """Where the entry was taken away, version 1 would be a second time the number of a key that is gone."""
    box.applied("branding", BRANDING)
    box.roster.clear()
    box.write_roster()
    answer = box.crm("keys", "rotate", "northwind")
    assert "northwind: added key version 3 to " in answer

"""Pushes of what is there already: accepted, and the workspace is as it was."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from contract.box import BRANDING, SMTP, WORKSPACE, Box, good, problem, roster_key, until
from contract.conftest import Boxes


@pytest.fixture
def box(boxes: Boxes) -> Box:
    """An instance with a section, whose tenant accepts repeats."""
    box = boxes(tenants={"northwind": {"repeats": "accept", "keys": [roster_key()]}})
    box.applied("branding", BRANDING)
    return box


def history(box: Box, section: str = "branding") -> list[dict[str, Any]]:
    """The revisions of a section, newest first."""
    items: list[dict[str, Any]] = good(box.get(f"sync/history/{section}"))["items"]
    return items


def test_a_push_that_leaves_a_section_as_it_is(box: Box) -> None:
    """It is unchanged: the version and the workspace's revision move, the section and its history stay."""
    before, revisions, revision = box.health()["sections"]["branding"], history(box), box.bootstrap()["last_sync"]
    answer = box.applied("branding", BRANDING)
    assert (answer["status"], answer["applied_at"], answer["changes"]) == ("unchanged", None, [])
    assert answer["revision"] == revision["revision"] + 1
    after = box.health()
    moved = {"version": answer["version"], "min_version": answer["version"] + 1}
    assert after["sections"]["branding"] == {**before, **moved}
    assert history(box) == revisions
    assert box.bootstrap()["sections"]["branding"] == answer["version"]
    entry = box.entry(answer["request_id"])
    assert (entry["status"], entry["revision"], entry["changes_count"]) == ("unchanged", answer["revision"], 0)
    assert after["log_head"] == answer["log_head"] == {"seq": entry["seq"], "hash": entry["entry_hash"]}


def test_a_merge_that_changes_nothing_is_unchanged(box: Box) -> None:
    """What counts is the section after the merge, and null in a replace is an absent member."""
    strategy = {"strategy": "merge"}
    assert box.applied("branding", {"title": BRANDING["title"]}, envelope=strategy)["status"] == "unchanged"
    assert box.applied("branding", {**BRANDING, "logo_url": None})["status"] == "unchanged"
    assert box.applied("branding", {"title": "Other"}, envelope=strategy)["status"] == "applied"


def test_the_first_push_of_a_section_is_applied(box: Box) -> None:
    """A section that did not exist is new, even if it is empty."""
    assert box.applied("workspace", {})["status"] == "applied"
    assert box.applied("workspace", {})["status"] == "unchanged"


def test_a_secret_is_never_compared(box: Box) -> None:
    """A push that sends a secret is applied, so that no push tests a guess; one that leaves it out may be unchanged."""
    box.applied("smtp", SMTP)
    assert box.applied("smtp", SMTP)["status"] == "applied"
    rest = {name: value for name, value in SMTP.items() if name != "password"}
    assert box.applied("smtp", rest, envelope={"strategy": "merge"})["status"] == "unchanged"
    assert box.applied("smtp", rest)["changes"] == [{"pointer": "/smtp/password", "from": {"set": True}, "to": None}]


def test_its_version_counts_and_its_nonce_is_used(box: Box) -> None:
    """The same version is stale, and another body under the nonce is a replay that names the original."""
    nonce = "unchanged-" + "n" * 20
    answer = box.applied("branding", BRANDING, nonce=nonce)
    again = problem(box.push("branding", {"title": "x"}, envelope={"version": answer["version"]}), 409, "stale_version")
    assert again["current"] == {"branding": answer["version"]}
    replay = problem(box.push("branding", {"title": "x"}, nonce=nonce), 409, "replayed_nonce")
    assert replay["original"]["status"] == "unchanged"


def test_a_repeat_of_it_is_accepted_where_the_roster_says_so(box: Box) -> None:
    """The same request again is already_applied, and names the original."""
    body, nonce = box.body("branding", BRANDING), "repeated-" + "n" * 20
    first = box.applied("branding", None, raw=body, nonce=nonce)
    again = box.applied("branding", None, raw=body, nonce=nonce)
    assert (first["status"], again["status"]) == ("unchanged", "already_applied")
    assert again["original"]["request_id"] == first["request_id"]
    assert box.entry(again["request_id"])["status"] == "unchanged"


def test_its_payload_is_known_until_the_next_push_of_the_section(box: Box) -> None:
    """Until then the same body is a duplicate; afterwards its version refuses it."""
    body = box.body("branding", BRANDING)
    first = box.applied("branding", None, raw=body)
    duplicate = problem(box.push("branding", raw=body), 409, "duplicate_payload")
    assert (duplicate["original"]["request_id"], duplicate["original"]["status"]) == (first["request_id"], "unchanged")
    box.applied("workspace", WORKSPACE)
    problem(box.push("branding", raw=body), 409, "duplicate_payload")
    box.applied("branding", BRANDING)
    problem(box.push("branding", raw=body), 409, "stale_version")


def test_a_combined_push_writes_history_for_what_changes(box: Box) -> None:
    """A section that stays takes the version only; the push is applied, or unchanged if all sections stay."""
    box.applied("workspace", WORKSPACE)
    before, revisions = box.health()["sections"]["branding"], history(box)
    answer = box.applied("combined", {"branding": BRANDING, "workspace": {"locale": "fr"}})
    assert answer["status"] == "applied"
    assert {change["pointer"].split("/")[1] for change in answer["changes"]} == {"workspace"}
    sections = box.health()["sections"]
    assert [sections[name]["version"] for name in ("branding", "workspace")] == [answer["version"]] * 2
    assert (sections["branding"]["revision"], history(box)) == (before["revision"], revisions)
    assert history(box, "workspace")[0]["revision"] == answer["revision"] == sections["workspace"]["revision"]
    same = box.applied("combined", {"branding": BRANDING, "workspace": {"locale": "fr"}})
    assert (same["status"], same["revision"]) == ("unchanged", answer["revision"] + 1)
    problem(box.push("workspace", {}, envelope={"version": same["version"]}), 409, "stale_version")


def test_it_is_a_success_for_health_and_last_sync(boxes: Boxes) -> None:
    """last_success, the counts, last_sync and expect_every count it as they count an applied push."""
    box = boxes(tenants={"northwind": {"expect_every": "5s", "keys": [roster_key()]}})
    box.applied("branding", BRANDING)
    until(lambda: box.health()["status"] == "stale", lambda: "never stale")
    answer = box.applied("branding", BRANDING)
    health, last = box.health(), box.bootstrap()["last_sync"]
    assert health["last_success"]["request_id"] == last["request_id"] == answer["request_id"]
    assert (last["version"], last["revision"], last["type"]) == (answer["version"], answer["revision"], "branding")
    assert health["counts"]["24h"] == {"applied": 1, "unchanged": 1, "rejected": 0, "failed": 0, "unverified": 0}
    assert last["at"] > health["sections"]["branding"]["applied_at"]
    assert health["status"] == "ok"


def test_sixty_pushes_of_the_same_data_leave_the_history_alone(boxes: Boxes) -> None:
    """A nightly push of the same data pushes no restore point out, and every one of its versions counts."""
    box = boxes(settings={"sync": {"history_keep": 3}})
    for title in ("One", "Two", "Three"):
        box.applied("branding", {"title": title})
    before = history(box)
    for _ in range(60):
        answer = box.applied("branding", {"title": "Three"})
    assert history(box) == before
    assert box.health()["sections"]["branding"]["version"] == answer["version"]
    oldest = before[-1]["revision"]
    path = f"{box.base()}/sync/history/branding/{oldest}/restore"
    restored = good(box.client.post(path, headers=box.bearer()))
    assert restored["changes"] == [{"pointer": "/branding/title", "from": "Three", "to": "One"}]
    assert box.health()["sections"]["branding"]["min_version"] == answer["version"] + 1


def test_it_sends_no_event_and_survives_a_kill(box: Box) -> None:
    """A stream sees the next applied push, not the unchanged one; after a restart the version still counts."""
    headers = {**box.bearer(), "Accept": "text/event-stream"}
    with box.client.stream("GET", f"{box.base()}/events", headers=headers) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line == "event: ready")
        same, other = box.applied("branding", BRANDING), box.applied("branding", {"title": "Other"})
        seen = json.loads(next(line for line in lines if '"version"' in line).removeprefix("data:"))
    assert (same["status"], seen["request_id"]) == ("unchanged", other["request_id"])
    last = box.applied("branding", {"title": "Other"})
    box.stop()
    box.start()
    problem(box.push("branding", {}, envelope={"version": last["version"]}), 409, "stale_version")


def test_crm_push_says_that_nothing_changed(box: Box, tmp_path: Any) -> None:
    """The command prints it in words, as JSON the whole answer, and exits 0."""
    file = tmp_path / "branding.json"
    file.write_text(json.dumps(BRANDING))
    to = ("--url", str(box.client.base_url), "--tenant", "northwind")
    version = int(time.time())
    said = box.crm("push", "branding", str(file), *to, "--version", str(version))
    assert f"branding version {version} accepted; nothing to change" in said
    told = json.loads(box.crm("push", "branding", str(file), *to, "--version", str(version + 1), "--json"))
    assert told["status"] == "unchanged"

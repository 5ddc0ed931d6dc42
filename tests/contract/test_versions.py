"""Versions: one line per section, a floor that only a compromised key loses."""

from __future__ import annotations

import signal

import pytest

from contract.box import BRANDING, WORKSPACE, Box, problem, roster_key
from contract.conftest import Boxes


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory, boxes: Boxes) -> Box:
    """An instance of its own for each test, with two keys."""
    return boxes(tenants={"northwind": {"keys": [roster_key(version=2), roster_key(version=3)]}})


def test_each_section_has_a_line_of_its_own(box: Box) -> None:
    """A version must exceed that of its section; current tells which that is."""
    box.applied("branding", BRANDING, envelope={"version": 50})
    box.applied("workspace", WORKSPACE, envelope={"version": 7})
    told = problem(box.push("branding", {"title": "x"}, envelope={"version": 50}), 409, "stale_version")
    assert told["current"] == {"branding": 50}
    assert box.health()["sections"]["branding"]["min_version"] == 51
    box.applied("branding", {"title": "x"}, envelope={"version": 51})


def test_combined_must_exceed_every_floor_and_each_section_takes_its_version(box: Box) -> None:
    """The highest floor counts; current tells those of the push and no other."""
    box.applied("branding", BRANDING, envelope={"version": 50})
    box.applied("workspace", WORKSPACE, envelope={"version": 7})
    both = {"workspace": {}, "smtp": {}}
    told = problem(box.push("combined", both, envelope={"version": 7}), 409, "stale_version")
    assert told["current"] == {"workspace": 7, "smtp": 0}
    box.applied("combined", {"workspace": {}, "branding": {}}, envelope={"version": 51})
    versions = {name: section["version"] for name, section in box.health()["sections"].items()}
    assert versions == {"branding": 51, "workspace": 51}


def test_the_largest_version_is_taken(box: Box) -> None:
    """2^53 - 1, after which the line ends."""
    box.applied("branding", BRANDING, envelope={"version": 2**53 - 1})
    told = problem(box.push("branding", {"title": "x"}, envelope={"version": 2**53 - 1}), 409, "stale_version")
    assert told["current"] == {"branding": 2**53 - 1}


def test_a_retired_key_still_counts_and_a_revoked_one_does_not(box: Box) -> None:
    """A leaked key cannot lock its successor out; one that was merely retired keeps its line."""
    box.applied("branding", BRANDING, envelope={"version": 10}, key_version=3)
    box.applied("branding", {"title": "huge"}, envelope={"version": 2**53 - 1}, key_version=2)
    box.roster["northwind"]["keys"][0]["not_after"] = "2020-01-01T00:00:00Z"
    box.write_roster()
    box.reload(lambda: box.health()["accepted_keys"][1]["state"] == "expired")
    problem(box.push("branding", {"title": "a"}, envelope={"version": 11}, key_version=3), 409, "stale_version")
    del box.roster["northwind"]["keys"][0]
    box.write_roster()
    box.reload(lambda: len(box.health()["accepted_keys"]) == 1)
    problem(box.push("branding", {"title": "b"}, envelope={"version": 11}, key_version=3), 409, "stale_version")
    box.roster["northwind"]["keys"].insert(0, roster_key(version=2, revoked=True))
    box.write_roster()
    box.reload(lambda: len(box.health()["accepted_keys"]) == 2)
    assert box.health()["sections"]["branding"]["min_version"] == 11
    told = problem(box.push("branding", {"title": "c"}, envelope={"version": 10}, key_version=3), 409, "stale_version")
    assert told["current"] == {"branding": 10}
    box.applied("branding", {"title": "d"}, envelope={"version": 11}, key_version=3)


def test_a_refused_push_and_a_preview_take_no_version(box: Box) -> None:
    """Only what was applied raises the floor."""
    problem(box.push("branding", {"title": 5}, envelope={"version": 90}), 422, "invalid_payload")
    box.applied("branding", {"title": "p"}, envelope={"version": 80, "mode": "preview"})
    box.applied("branding", {"title": "a"}, envelope={"version": 1})


def test_a_restore_does_not_lower_the_floor_and_a_reset_does(box: Box) -> None:
    """The restored section has its old version again, the next push needs one above the highest applied."""
    first = box.applied("branding", {"title": "one"}, envelope={"version": 5})
    box.applied("branding", {"title": "two"}, envelope={"version": 40})
    path = f"{box.base()}/sync/history/branding/{first['revision']}/restore"
    restored = box.client.post(path, headers=box.bearer())
    assert restored.status_code == 200
    assert restored.json()["version"] == 5
    assert restored.json()["revision"] == first["revision"] + 2
    assert box.public() == {"branding": {"title": "one"}}
    told = problem(box.push("branding", {"title": "x"}, envelope={"version": 40}), 409, "stale_version")
    assert told["current"] == {"branding": 40}
    box.crm("tenant", "reset-version", "northwind", "branding")
    box.applied("branding", {"title": "y"}, envelope={"version": 1})


def test_everything_is_as_it_was_after_a_kill(box: Box) -> None:
    """Floor, used nonce, applied payload, log and sections of what was answered outlive kill -9."""
    body, nonce = box.body("branding", BRANDING, version=70), "kill-" + "n" * 20
    told = box.applied("branding", None, raw=body, nonce=nonce)
    refused = problem(box.push("branding", {"title": 5}), 409, "stale_version")
    health = box.health()
    box.stop(signal.SIGKILL)
    box.start()
    assert box.health()["sections"] == health["sections"]
    assert box.health()["log_head"] == health["log_head"]
    assert box.entry(refused["request_id"])["seq"] == health["log_head"]["seq"]
    replay = problem(box.push("branding", raw=body, nonce=nonce), 409, "replayed_nonce")
    assert replay["original"]["request_id"] == told["request_id"]
    assert problem(box.push("branding", raw=body), 409, "duplicate_payload")["original"]["version"] == 70
    problem(box.push("branding", {"title": "x"}, envelope={"version": 70}), 409, "stale_version")

"""Versions: one line per section, with a floor that only a revoked key's versions leave."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from contract.box import BRANDING, WORKSPACE, Box, good, problem, roster_key
from contract.conftest import Boxes


class Line:
    """The pushes of one tenant, whose versions no other test moves."""

    def __init__(self, box: Box, tenant: str) -> None:
        self.box, self.tenant = box, tenant
        self.push, self.applied = partial(box.push, tenant=tenant), partial(box.applied, tenant=tenant)
        self.health, self.public = partial(box.health, tenant), partial(box.public, tenant)

    @property
    def keys(self) -> list[dict[str, Any]]:
        """Its keys in the roster."""
        keys: list[dict[str, Any]] = self.box.roster[self.tenant]["keys"]
        return keys

    def edited(self, settled: Callable[[], bool]) -> None:
        """Have the edited roster come into force."""
        self.box.write_roster()
        self.box.reload(settled)


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance with a tenant of two keys for each test."""
    names = [f"line-{number}" for number in range(11)]
    return boxes(tenants={name: {"keys": [roster_key(name, 2), roster_key(name, 3)]} for name in names})


@pytest.fixture(scope="module")
def free(box: Box) -> list[str]:
    """The tenants that no test has used."""
    return list(box.roster)


@pytest.fixture
def line(box: Box, free: list[str]) -> Line:
    """The tenant of one test."""
    return Line(box, free.pop())


def test_each_section_has_its_own_line(line: Line) -> None:
    """A version must exceed the floor of its section, which the refusal shows in current."""
    line.applied("branding", BRANDING, envelope={"version": 50})
    line.applied("workspace", WORKSPACE, envelope={"version": 7})
    refusal = problem(line.push("branding", {"title": "x"}, envelope={"version": 50}), 409, "stale_version")
    assert refusal["current"] == {"branding": 50}
    assert line.health()["sections"]["branding"]["min_version"] == 51
    line.applied("branding", {"title": "x"}, envelope={"version": 51})


def test_combined_must_exceed_every_floor_and_each_section_takes_its_version(line: Line) -> None:
    """The highest floor counts; current has the floors of the push's sections and no other."""
    line.applied("branding", BRANDING, envelope={"version": 50})
    line.applied("workspace", WORKSPACE, envelope={"version": 7})
    both = {"workspace": {}, "smtp": {}}
    refusal = problem(line.push("combined", both, envelope={"version": 7}), 409, "stale_version")
    assert refusal["current"] == {"workspace": 7, "smtp": 0}
    line.applied("combined", {"workspace": {}, "branding": {}}, envelope={"version": 51})
    versions = {name: section["version"] for name, section in line.health()["sections"].items()}
    assert versions == {"branding": 51, "workspace": 51}


def test_the_largest_version_is_accepted(line: Line) -> None:
    """2^53 - 1 is accepted, and nothing after it."""
    line.applied("branding", BRANDING, envelope={"version": 2**53 - 1})
    refusal = problem(line.push("branding", {"title": "x"}, envelope={"version": 2**53 - 1}), 409, "stale_version")
    assert refusal["current"] == {"branding": 2**53 - 1}


def test_a_retired_key_still_counts_and_a_revoked_one_does_not(line: Line) -> None:
    """A leaked key cannot lock its successor out; the versions of a retired key still count."""
    line.applied("branding", BRANDING, envelope={"version": 10}, key_version=3)
    line.applied("branding", {"title": "huge"}, envelope={"version": 2**53 - 1}, key_version=2)
    line.keys[0]["not_after"] = "2020-01-01T00:00:00Z"
    line.edited(lambda: line.health()["accepted_keys"][1]["state"] == "expired")
    problem(line.push("branding", {"title": "a"}, envelope={"version": 11}, key_version=3), 409, "stale_version")
    del line.keys[0]
    line.edited(lambda: len(line.health()["accepted_keys"]) == 1)
    problem(line.push("branding", {"title": "b"}, envelope={"version": 11}, key_version=3), 409, "stale_version")
    line.keys.insert(0, roster_key(line.tenant, 2, revoked=True))
    line.edited(lambda: len(line.health()["accepted_keys"]) == 2)
    assert line.health()["sections"]["branding"]["min_version"] == 11
    refusal = problem(
        line.push("branding", {"title": "c"}, envelope={"version": 10}, key_version=3), 409, "stale_version"
    )
    assert refusal["current"] == {"branding": 10}
    line.applied("branding", {"title": "d"}, envelope={"version": 11}, key_version=3)


@pytest.mark.parametrize("revoked", [False, True])
def test_a_body_whose_version_no_longer_counts_is_applied_again(line: Line, revoked: bool) -> None:
    """After a reset, or once the key leaked, an earlier push with the same bytes is no repeat, but a second one is."""
    ours = {"title": "ours"}
    line.applied("branding", ours, envelope={"version": 1}, key_version=2)
    line.applied("branding", {"title": "theirs"}, envelope={"version": 2}, key_version=2)
    if revoked:
        line.keys[0]["revoked"] = True
        line.edited(lambda: line.health()["accepted_keys"][1]["state"] == "revoked")
    else:
        line.box.crm("tenant", "reset-version", line.tenant, "branding")
    line.applied("branding", ours, envelope={"version": 1}, key_version=3)
    assert line.public()["branding"]["title"] == "ours"
    problem(line.push("branding", ours, envelope={"version": 1}, key_version=3), 409, "duplicate_payload")


def test_a_combined_body_is_no_repeat_once_one_of_its_versions_no_longer_counts(line: Line) -> None:
    """It is refused for the section whose version still counts, and current says which."""
    both = {"branding": {"title": "a"}, "workspace": {}}
    line.applied("combined", both, envelope={"version": 5})
    problem(line.push("combined", both, envelope={"version": 5}), 409, "duplicate_payload")
    line.box.crm("tenant", "reset-version", line.tenant, "branding")
    refusal = problem(line.push("combined", both, envelope={"version": 5}), 409, "stale_version")
    assert refusal["current"] == {"branding": 0, "workspace": 5}


def test_a_refused_push_and_a_preview_take_no_version(line: Line) -> None:
    """Only an applied push raises the floor."""
    problem(line.push("branding", {"title": 5}, envelope={"version": 90}), 422, "invalid_payload")
    line.applied("branding", {"title": "p"}, envelope={"version": 80, "mode": "preview"})
    line.applied("branding", {"title": "a"}, envelope={"version": 1})


def newest(line: Line) -> dict[str, Any]:
    """The newest entry of the section's history."""
    path = f"{line.box.base(line.tenant)}/sync/history/branding"
    found: list[dict[str, Any]] = good(line.box.client.get(path, headers=line.box.bearer(tenant=line.tenant)))["items"]
    return found[0]


def test_a_restore_does_not_lower_the_floor_and_a_reset_does(line: Line) -> None:
    """The restored revision has its old version, health the last accepted one; the next push needs one above that."""
    first = line.applied("branding", {"title": "one"}, envelope={"version": 5})
    line.applied("branding", {"title": "two"}, envelope={"version": 40})
    path = f"{line.box.base(line.tenant)}/sync/history/branding/{first['revision']}/restore"
    restored = line.box.client.post(path, headers=line.box.bearer(tenant=line.tenant))
    assert restored.status_code == 200
    assert restored.json()["version"] == 5
    assert restored.json()["revision"] == first["revision"] + 2
    assert line.public() == {"branding": {"title": "one"}}
    assert (line.health()["sections"]["branding"]["version"], newest(line)["version"]) == (40, 5)
    refusal = problem(line.push("branding", {"title": "x"}, envelope={"version": 40}), 409, "stale_version")
    assert refusal["current"] == {"branding": 40}
    line.box.crm("tenant", "reset-version", line.tenant, "branding")
    line.applied("branding", {"title": "y"}, envelope={"version": 1})


def test_everything_is_as_it_was_after_a_kill(line: Line) -> None:
    """Floors, used nonces, payloads, log and sections of answered pushes survive kill -9."""
    body, nonce = line.box.body("branding", BRANDING, line.tenant, version=70), "kill-" + "n" * 20
    answer = line.applied("branding", None, raw=body, nonce=nonce)
    refused = problem(line.push("branding", {"title": 5}), 409, "stale_version")
    health = line.health()
    line.box.stop(signal.SIGKILL)
    line.box.start()
    assert line.health()["sections"] == health["sections"]
    assert line.health()["log_head"] == health["log_head"]
    assert line.box.entry(refused["request_id"], line.tenant)["seq"] == health["log_head"]["seq"]
    replay = problem(line.push("branding", raw=body, nonce=nonce), 409, "replayed_nonce")
    assert replay["original"]["request_id"] == answer["request_id"]
    assert problem(line.push("branding", raw=body), 409, "duplicate_payload")["original"]["version"] == 70
    problem(line.push("branding", {"title": "x"}, envelope={"version": 70}), 409, "stale_version")


def test_a_payload_is_known_as_long_as_the_history_of_its_section(boxes: Boxes) -> None:
    """With a history of two, the third push drops the first one's payload and revision, and no more."""
    box = boxes(settings={"sync": {"history_keep": 2}})
    bodies = [box.body("branding", {"title": f"H{n}"}, version=n) for n in (1, 2, 3)]
    revisions = [box.applied("branding", None, raw=body)["revision"] for body in bodies]
    problem(box.push("branding", raw=bodies[0]), 409, "stale_version")
    problem(box.push("branding", raw=bodies[1]), 409, "duplicate_payload")
    items = box.get("sync/history/branding").json()["items"]
    assert [item["revision"] for item in items] == revisions[:0:-1]
    restore = f"{box.base()}/sync/history/branding/{{}}/restore"
    problem(box.client.post(restore.format(revisions[0]), headers=box.bearer()), 404, "not_found")
    assert box.client.post(restore.format(revisions[1]), headers=box.bearer()).status_code == 200

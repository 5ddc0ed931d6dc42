"""What an app needs to draw itself, and what a sign-in page may know."""

from __future__ import annotations

from typing import Any

import pytest

from contract.box import BRANDING, PLAN, SMTP, WORKSPACE, Box, good, problem, roster_key
from contract.conftest import Boxes

SUBSCRIPTION = {"state": "trial", "ends_at": "2027-01-31T00:00:00Z"}


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance with two tenants."""
    return boxes(tenants={"northwind": {"keys": [roster_key()]}, "contoso": {"keys": [roster_key("contoso")]}})


def test_before_the_first_push_there_is_a_workspace_all_the_same(box: Box) -> None:
    """Empty sections, the default plan's modules, and no last sync."""
    reported = box.bootstrap("contoso")
    assert {
        name: reported[name] for name in ("branding", "workspace", "limits", "subscription", "last_sync", "sections")
    } == {
        "branding": {},
        "workspace": {},
        "limits": {},
        "subscription": None,
        "last_sync": None,
        "sections": {},
    }
    assert box.public("contoso") == {"branding": {}}


def test_bootstrap_has_the_members_of_the_contract(box: Box) -> None:
    """For a token the user is null; smtp is never shown."""
    features = {"plan": PLAN, "limits": {"customers": 10}, "subscription": SUBSCRIPTION}
    box.applied("combined", {"features": features, "branding": BRANDING, "smtp": SMTP})
    reported = box.applied("workspace", WORKSPACE)
    shown = box.bootstrap()
    assert shown.keys() == {
        *("instance", "tenant", "user", "role", "features", "modules", "branding", "workspace", "limits"),
        *("subscription", "last_sync", "sections"),
    }
    assert (shown["instance"], shown["tenant"], shown["user"], shown["role"]) == ("eu1", "northwind", None, None)
    assert (shown["branding"], shown["workspace"]) == (BRANDING, WORKSPACE)
    assert (shown["limits"], shown["subscription"]) == ({"customers": 10}, SUBSCRIPTION)
    assert shown["last_sync"] == {
        "at": reported["applied_at"],
        "type": "workspace",
        "version": reported["version"],
        "request_id": reported["request_id"],
        "revision": reported["revision"],
    }
    assert shown["sections"] == {name: section["version"] for name, section in box.health()["sections"].items()}
    assert all(
        module.keys() == {"module", "title", "state", "reason", "icon", "order", "features", "routes"}
        for module in shown["modules"]
    )


def test_features_are_those_of_the_caller(box: Box) -> None:
    """Two tokens with other scopes see other features and the same modules."""
    box.applied("features", {"plan": PLAN})
    reader, writer = (
        good(box.client.get(f"{box.base()}/bootstrap", headers=box.bearer(scope)))
        for scope in ("customers:read", "deals:write")
    )
    assert reader["features"] == ["customers.export", "customers.view"]
    assert writer["features"] == ["deals.create", "deals.update"]
    states: list[dict[str, Any]] = [
        {module["module"]: module["state"] for module in one["modules"]} for one in (reader, writer)
    ]
    assert states[0] == states[1]


@pytest.mark.parametrize("path", ["bootstrap", "bootstrap/public"])
def test_the_etag_changes_exactly_when_the_answer_does(box: Box, path: str) -> None:
    """Strong; a match in any form of If-None-Match gives 304 with the tag and without a body."""
    box.applied("branding", BRANDING)
    first = box.get(path)
    etag = first.headers["etag"]
    assert etag.startswith('"')
    assert box.get(path).headers["etag"] == etag
    for header in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        same = box.get(path, headers={"If-None-Match": header})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    for header in ('"other"', etag.strip('"')):
        assert box.get(path, headers={"If-None-Match": header}).status_code == 200
    box.push("branding", {"title": 5})
    box.applied("branding", {"title": "p"}, envelope={"mode": "preview"})
    assert box.get(path).headers["etag"] == etag
    box.applied("branding", {**BRANDING, "title": "Other"})
    changed = box.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag
    box.applied("branding", BRANDING)
    assert (box.get(path).headers["etag"] == etag) is (path == "bootstrap/public")


def test_the_public_part_does_not_move_with_other_sections(box: Box) -> None:
    """Its tag is of what it shows."""
    etag = box.get("bootstrap/public").headers["etag"]
    box.applied("workspace", {"locale": "fr"})
    assert box.get("bootstrap/public").headers["etag"] == etag


def test_caches_are_reported_what_they_may_keep(box: Box) -> None:
    """Private and revalidated, by credential; also with a 304."""
    answer = box.get("bootstrap")
    again = box.get("bootstrap", headers={"If-None-Match": answer.headers["etag"]})
    for one in (answer, again):
        assert one.headers["cache-control"] == "private, no-cache"
        assert {part.strip() for part in one.headers["vary"].split(",")} >= {"Authorization", "Cookie"}


def test_bootstrap_is_for_callers_of_the_tenant(box: Box) -> None:
    """Any token of it; a bad one and another tenant's are one and the same refusal."""
    path = f"{box.base()}/bootstrap"
    good(box.client.get(path, headers=box.bearer("customers:read")))
    for headers in ({}, {"Authorization": "Basic eDp5"}):
        problem(box.client.get(path, headers=headers), 401, "unauthenticated")
    bad = [{"Authorization": "Bearer crm_x"}, {"Authorization": "Bearer crm_x.y"}, box.bearer(tenant="contoso")]
    texts = {problem(box.client.get(path, headers=headers), 401, "unauthenticated")["detail"] for headers in bad}
    assert len(texts) == 1
    problem(box.get("bootstrap", colour="red"), 400, "unknown_parameter")
    problem(box.client.get(f"{box.base()}/bootstrap/public?x=1"), 400, "unknown_parameter")


def test_the_next_request_after_the_answer_sees_the_new_state(box: Box) -> None:
    """On every connection, each time."""
    for n in range(20):
        reported = box.applied("branding", {"title": f"N{n}"})
        assert box.public()["branding"]["title"] == f"N{n}"
        assert box.bootstrap()["last_sync"]["request_id"] == reported["request_id"]

"""A module, key or role that left the admin's files after a push named it."""

from __future__ import annotations

from typing import Any

import pytest

from contract.box import Box, pointers, problem, warned
from contract.conftest import Boxes

TRAVEL = "modules:\n  travel: {title: Travel, features: [travel.view, travel.book]}\n"
PILOT = "roles:\n  pilot: {title: Pilot, grant: ['tasks.*']}\n"
PLAN = {"code": "p", "name": "P", "features": ["customers.*", "tasks.*", "travel.*"]}
MERGE = {"strategy": "merge"}


@pytest.fixture(scope="module")
def box(boxes: Boxes) -> Box:
    """An instance whose features section names a module and a role that its files no longer have."""
    box = boxes(files={"modules.yaml": TRAVEL, "roles.yaml": PILOT})
    overlay = {"pilot": {"grant": ["travel.book"]}, "agent": {"deny": ["tasks.export"]}}
    box.applied("features", {"plan": PLAN, "overrides": {"travel.book": False}, "roles": overlay})
    assert box.health()["status"] == "ok"
    (box.config / "modules.yaml").write_text("modules: {}\n")
    (box.config / "roles.yaml").write_text("roles: {}\n")
    box.reload(lambda: len(box.health()["reasons"]) == 2)
    return box


def test_health_names_what_left_the_files(box: Box) -> None:
    """Degraded, with a sentence for the module and one for the role, each with its file."""
    health = box.health()
    assert health["status"] == "degraded"
    module, role = health["reasons"]
    assert "features" in module
    assert "`travel`" in module
    assert "modules.yaml" in module
    assert "`pilot`" in role
    assert "roles.yaml" in role


@pytest.mark.parametrize(
    "data",
    [
        {"limits": {"users": 5}},
        {"overrides": {"tasks.export": False}},
        {"roles": {"agent": {"deny": ["tasks.create"]}}},
        {"plan": {"name": "Q"}},
        {"modules": {"tasks": {"title": "To do"}}},
    ],
)
def test_a_merge_that_does_not_name_it_is_applied_with_warnings(box: Box, data: dict[str, Any]) -> None:
    """Names that a merge keeps were judged when they were pushed; one warning names each module and role."""
    answer = box.applied("features", data, envelope=MERGE)
    assert sorted(code for code in warned(answer) if code != "no_effect") == ["module_unsupported", "unknown_role"]
    assert "`travel`" in str(answer["warnings"])
    assert "`pilot`" in str(answer["warnings"])


@pytest.mark.parametrize(
    ("data", "code", "pointer"),
    [
        ({"plan": PLAN}, "module_unsupported", "/data/plan/features/2"),
        ({"overrides": {"travel.book": True}}, "module_unsupported", "/data/overrides/travel.book"),
        ({"modules": {"travel": {"order": 1}}}, "module_unsupported", "/data/modules/travel"),
        ({"roles": {"agent": {"grant": ["travel.view"]}}}, "module_unsupported", "/data/roles/agent/grant/0"),
        ({"roles": {"pilot": {"deny": ["tasks.view"]}}}, "invalid_payload", "/data/roles/pilot"),
    ],
)
def test_a_merge_that_names_it_is_refused(box: Box, data: dict[str, Any], code: str, pointer: str) -> None:
    """Naming a module or role that does not exist is refused at its place, and there alone."""
    assert pointers(problem(box.push("features", data, envelope=MERGE), 422, code)) == {pointer}


def test_a_replace_that_names_it_is_refused(box: Box) -> None:
    """A replace sends the whole section, so all of it is judged."""
    assert pointers(problem(box.push("features", {"plan": PLAN}), 422, "module_unsupported")) == {
        "/data/plan/features/2"
    }


def test_a_merge_in_a_combined_push_is_judged_alike(box: Box) -> None:
    """Each section of a combined merge leaves what it does not name."""
    answer = box.applied(
        "combined", {"features": {"limits": {"users": 7}}, "workspace": {"currency": "EUR"}}, envelope=MERGE
    )
    assert "module_unsupported" in warned(answer)


def test_other_sections_are_not_affected(box: Box) -> None:
    """A push of another section is applied without a warning."""
    assert warned(box.applied("branding", {"title": "Northwind"})) == []


def test_removing_it_by_merge_makes_health_ok(boxes: Boxes) -> None:
    """A merge that removes each name ends the warnings and the reasons."""
    box = boxes(files={"modules.yaml": TRAVEL})
    box.applied("features", {"plan": PLAN, "overrides": {"travel.book": False}})
    (box.config / "modules.yaml").write_text("modules: {}\n")
    box.reload(lambda: box.health()["status"] == "degraded")
    plan = {"features": ["customers.*", "tasks.*"]}
    answer = box.applied("features", {"plan": plan, "overrides": {"travel.book": None}}, envelope=MERGE)
    assert warned(answer) == []
    assert (box.health()["status"], box.health()["reasons"]) == ("ok", [])


def test_a_key_that_left_its_module_is_a_warning(boxes: Boxes) -> None:
    """A feature key that a known module no longer has is judged as a module is."""
    box = boxes(files={"modules.yaml": TRAVEL})
    box.applied("features", {"plan": PLAN, "overrides": {"travel.book": False}})
    (box.config / "modules.yaml").write_text(TRAVEL.replace(", travel.book", ""))
    box.reload(lambda: "travel.book" not in str(box.bootstrap()["modules"]))
    assert "unknown_key" in warned(box.applied("features", {"limits": {"users": 3}}, envelope=MERGE))
    problem(box.push("features", {"overrides": {"travel.book": True}}, envelope=MERGE), 422, "invalid_payload")


def test_a_module_that_was_blocked_since_refuses_no_merge(boxes: Boxes) -> None:
    """The local plan decides about it by then; only a push that names it is refused."""
    box = boxes(files={"modules.yaml": TRAVEL})
    box.applied("features", {"plan": PLAN})
    (box.config / "modules.yaml").write_text(f"{TRAVEL}sync_policy: {{blocked_modules: [travel]}}\n")
    box.reload(lambda: {one["module"]: one["state"] for one in box.bootstrap()["modules"]}["travel"] == "unavailable")
    assert warned(box.applied("features", {"limits": {"users": 3}}, envelope=MERGE)) == []
    assert box.health()["status"] == "ok"
    problem(box.push("features", {"modules": {"travel": {}}}, envelope=MERGE), 403, "module_blocked")

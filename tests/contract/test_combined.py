"""Combined pushes: one section or more, all applied or none."""

from __future__ import annotations

from typing import Any

import pytest

from contract.box import BRANDING, PLAN, SMTP, WORKSPACE, Box, pointers, problem
from contract.conftest import Boxes


@pytest.mark.parametrize(
    ("bad", "status", "code", "pointer"),
    [
        ({"smtp": {"host": "", "port": 99999}}, 422, "invalid_payload", "/data/smtp/port"),
        (
            {"features": {"overrides": {"website.view": True}}},
            403,
            "module_blocked",
            "/data/features/overrides/website.view",
        ),
        (
            {"features": {"overrides": {"ships.view": True}}},
            422,
            "module_unsupported",
            "/data/features/overrides/ships.view",
        ),
        ({"workspace": {"timezone": "Mars/Olympus"}}, 422, "invalid_payload", "/data/workspace/timezone"),
        ({"spaceships": {}}, 422, "invalid_payload", "/data/spaceships"),
        ({"branding": 5}, 422, "invalid_payload", "/data/branding"),
    ],
)
def test_one_bad_section_refuses_all(box: Box, bad: dict[str, Any], status: int, code: str, pointer: str) -> None:
    """Nothing of the good sections is applied, and no version is taken."""
    before = box.health()["sections"]
    refusal = problem(box.push("combined", {"branding": {"title": "Half"}, **bad}), status, code)
    assert pointer in pointers(refusal)
    assert box.health()["sections"] == before


def test_the_sections_share_version_revision_and_request(boxes: Boxes) -> None:
    """One push, one revision; changes start with their section."""
    box = boxes()
    data = {"branding": BRANDING, "features": {"plan": PLAN}, "smtp": SMTP, "workspace": WORKSPACE}
    answer = box.applied("combined", data)
    sections = box.health()["sections"]
    assert sections.keys() == data.keys()
    assert {(one["version"], one["revision"], one["request_id"]) for one in sections.values()} == {
        (answer["version"], answer["revision"], answer["request_id"])
    }
    assert {change["pointer"].split("/")[1] for change in answer["changes"]} == data.keys()
    assert box.bootstrap()["last_sync"]["type"] == "combined"


def test_sections_that_are_not_named_stay(box: Box) -> None:
    """A combined replace replaces the sections that it names and no other."""
    box.applied("combined", {"branding": BRANDING, "workspace": WORKSPACE})
    box.applied("combined", {"branding": {"title": "Alone"}, "workspace": None})
    assert box.bootstrap()["workspace"] == WORKSPACE
    assert box.public() == {"branding": {"title": "Alone"}}


@pytest.mark.parametrize("data", [{}, {"branding": None}])
def test_a_combined_push_has_at_least_one_section(box: Box, data: dict[str, Any]) -> None:
    """An empty one would be applied without any effect."""
    problem(box.push("combined", data), 422, "invalid_payload")


def test_errors_of_all_sections_are_listed_together(box: Box) -> None:
    """Each with the pointer into the body as sent."""
    refusal = problem(
        box.push("combined", {"branding": {"title": 1}, "smtp": {"port": "x"}, "nowhere": {}}), 422, "invalid_payload"
    )
    assert pointers(refusal) == {"/data/branding/title", "/data/smtp/port", "/data/nowhere"}

from __future__ import annotations

import pytest

from contract.box import BRANDING, PLAN, SMTP, WORKSPACE, Box


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("branding", BRANDING),
        ("features", {"plan": PLAN}),
        ("smtp", SMTP),
        ("workspace", WORKSPACE),
        ("combined", {"branding": {"title": "Both"}, "workspace": {"locale": "fr"}}),
    ],
)
def test_a_signed_push_is_applied(box: Box, kind: str, data: dict[str, object]) -> None:
    """Each payload type is applied, and the answer has exactly the members of the contract."""
    before = box.health()["log_head"]["seq"]
    receipt = box.applied(kind, data)
    assert receipt.keys() == {
        "status",
        "request_id",
        "tenant",
        "type",
        "version",
        "applied_at",
        "revision",
        "changes",
        "modules",
        "warnings",
        "log_head",
    }
    assert (receipt["status"], receipt["tenant"], receipt["type"]) == ("applied", "northwind", kind)
    assert receipt["log_head"]["seq"] == before + 1
    assert receipt["applied_at"].endswith("Z")

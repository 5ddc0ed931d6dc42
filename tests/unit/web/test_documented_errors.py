from __future__ import annotations

from typing import Any

import pytest

from crm_core.web.api.openapi import document
from crm_core.web.operations import BASE, Body, Operation

BODY = Body(schema={"type": "object"}, limit=9)


def codes(**members: Any) -> set[str]:
    """The codes that are documented for an operation."""
    known: dict[str, Any] = {"method": "GET", "path": f"{BASE}/x", "name": "x", "summary": "", "tag": "", "replies": {}}
    operation = Operation(**{**known, **members})
    method = operation.method.lower()
    responses = document([operation], instance="eu1")["paths"][operation.path][method]["responses"]
    return {text.split(":")[0] for each in responses.values() for text in each["description"].split("; ")}


@pytest.mark.parametrize(
    ("members", "present", "absent"),
    [
        ({"path": "/healthz", "open_to_all": True}, {"internal_error"}, {"unknown_tenant", "unauthenticated"}),
        ({"open_to_all": True}, {"unknown_tenant", "unknown_parameter"}, {"unauthenticated", "csrf_failed"}),
        ({"scope": "any", "key": "any"}, {"unauthenticated"}, {"insufficient_scope", "csrf_failed"}),
        ({"key": "a.view"}, {"insufficient_scope", "permission_denied"}, {"csrf_failed", "malformed_json"}),
        ({"method": "POST", "key": "a.create", "body": BODY}, {"csrf_failed", "payload_too_large"}, set()),
        ({"method": "POST", "signed": True, "body": BODY}, {"invalid_parameter"}, {"unknown_parameter"}),
    ],
)
def test_errors_follow_from_the_requirements_of_an_operation(
    members: dict[str, Any], present: set[str], absent: set[str]
) -> None:
    """So no list of an operation's own errors can forget one of them."""
    found = codes(**members)
    assert present <= found
    assert not absent & found

from __future__ import annotations

import json

import pytest

from crm_core.errors import (
    CrmError,
    Finding,
    InsufficientScope,
    InvalidPayload,
    MethodNotAllowed,
    RateLimited,
    SignatureMissing,
    StaleVersion,
    StorageFull,
    StorageUnavailable,
    Unauthenticated,
)
from crm_core.server.problem import problem


def test_a_problem_has_its_members_and_its_evidence() -> None:
    """RFC 9457, with code, request id and the error's evidence."""
    headers, body = problem(StaleVersion("Too old.", current={"branding": 5}), "id-1", "eu1")
    assert json.loads(body) == {
        "type": "/i/eu1/docs/errors#stale_version",
        "title": "Version too old",
        "status": 409,
        "detail": "Too old.",
        "code": "stale_version",
        "request_id": "id-1",
        "current": {"branding": 5},
    }
    assert dict(headers)[b"content-length"] == str(len(body)).encode()


def test_a_problem_lists_the_findings() -> None:
    """With pointer, code and message; the flag of warnings is left out."""
    error = InvalidPayload("See errors.", errors=[Finding("/data/a", "wrong_type", "Send text.", warning=True)])
    listed = json.loads(problem(error, "id-2")[1])["errors"]
    assert json.loads(problem(error, "id-2")[1])["type"] == "about:blank"  # no instance is known
    assert listed == [{"pointer": "/data/a", "code": "wrong_type", "message": "Send text."}]


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (Unauthenticated(), b"www-authenticate", b"Bearer"),
        (Unauthenticated(rejected=True), b"www-authenticate", b'Bearer error="invalid_token"'),
        (SignatureMissing(), b"www-authenticate", b"Bearer"),
        (InsufficientScope(), b"www-authenticate", b'Bearer error="insufficient_scope"'),
        (
            InsufficientScope(scope="deals:read"),
            b"www-authenticate",
            b'Bearer error="insufficient_scope", scope="deals:read"',
        ),
        (RateLimited(retry_after=7), b"retry-after", b"7"),
        (StorageFull(retry_after=7), b"retry-after", b"7"),
        (MethodNotAllowed(allow="GET, POST"), b"allow", b"GET, POST"),
        (StaleVersion(), b"cache-control", b"no-store"),
    ],
)
def test_headers_go_with_their_errors(error: CrmError, name: bytes, value: bytes) -> None:
    """No cache stores an error; 401 names the scheme, 429 and 507 the wait, 405 the methods."""
    assert dict(problem(error, "id-1")[0])[name] == value


@pytest.mark.parametrize("error", [StorageFull(), StorageUnavailable()])
def test_storage_errors_always_name_a_wait(error: CrmError) -> None:
    """Clients that retry need one."""
    assert int(dict(problem(error, "id-1")[0])[b"retry-after"]) > 0

from __future__ import annotations

import pytest

from crm_core.errors import (
    Finding,
    InvalidPayload,
    MethodNotAllowed,
    RateLimited,
    StaleVersion,
    StorageFull,
    StorageUnavailable,
    Unauthenticated,
)
from crm_core.web.problems import document, headers_of, origin


def test_a_problem_has_its_members_and_its_evidence() -> None:
    """RFC 9457, with code, request id, the errors and what the error carries; warnings' flag is not told."""
    told = document(StaleVersion("Too old.", current={"branding": 5}), "id-1")
    assert told == {
        "type": "about:blank",
        "title": "Version too old",
        "status": 409,
        "detail": "Too old.",
        "code": "stale_version",
        "request_id": "id-1",
        "current": {"branding": 5},
    }
    found = InvalidPayload("See errors.", errors=[Finding("/data/a", "wrong_type", "Send text.", warning=True)])
    assert document(found, "id-2")["errors"] == [{"pointer": "/data/a", "code": "wrong_type", "message": "Send text."}]


def test_headers_go_with_their_errors() -> None:
    """No cache keeps an error; 401 names the scheme, 429 the wait, 405 the methods."""
    assert headers_of(Unauthenticated()) == {"Cache-Control": "no-store", "WWW-Authenticate": "Bearer"}
    assert headers_of(RateLimited(retry_after=7))["Retry-After"] == "7"
    assert headers_of(StorageFull(retry_after=7))["Retry-After"] == "7"
    assert int(headers_of(StorageFull())["Retry-After"]) > 0
    assert int(headers_of(StorageUnavailable())["Retry-After"]) > 0
    assert headers_of(MethodNotAllowed(allow="GET, POST"))["Allow"] == "GET, POST"


def test_the_origin_of_a_fault_names_type_and_line_and_no_value() -> None:
    """What the exception says may hold what a request held."""
    with pytest.raises(ValueError, match="hunter2") as raised:
        int("the password is hunter2")
    told = origin(raised.value)
    assert told["error"] == "ValueError"
    assert told["at"].rpartition(":")[2].isdigit()
    assert "hunter2" not in str(told)
    assert origin(None) == {}

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from crm_core.server_log import origin
from crm_core.web.problems import problem
from crm_core.web.request import Request, request_of


async def no_body() -> AsyncIterator[bytes]:
    """A body without parts."""
    return
    yield b""


def request() -> Request:
    """Any request to the instance eu1."""
    scope = {"method": "GET", "path": "/", "query_string": b"", "headers": [], "scheme": "http", "client": None}
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return request_of(scope, no_body, received_at=at, request_id="id-1", instance="eu1", proxies=())


def test_a_foreign_exception_becomes_an_internal_error() -> None:
    """Its words stay inside: they may contain data of a request."""
    answer = problem(ValueError("the password is hunter2"), request())
    assert answer.status == 500
    assert isinstance(answer.body, bytes)
    assert b'"code":"internal_error"' in answer.body
    assert b"hunter2" not in answer.body
    assert b'"type":"/i/eu1/docs/errors#internal_error"' in answer.body


def test_the_origin_of_an_exception_is_its_type_and_line_and_no_value() -> None:
    """The words of the exception may contain data of a request."""
    with pytest.raises(ValueError, match="hunter2") as raised:
        int("the password is hunter2")
    found = origin(raised.value)
    assert found["error"] == "ValueError"
    assert found["at"].rpartition(":")[2].isdigit()
    assert "hunter2" not in str(found)
    assert origin(None) == {}

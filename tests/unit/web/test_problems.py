from __future__ import annotations

import pytest

from crm_core.web.problems import origin, problem


def test_a_foreign_exception_becomes_an_internal_error() -> None:
    """Its words stay inside: they may contain data of a request."""
    answer = problem(ValueError("the password is hunter2"), "id-1")
    assert answer.status == 500
    assert isinstance(answer.body, bytes)
    assert b'"code":"internal_error"' in answer.body
    assert b"hunter2" not in answer.body


def test_the_origin_of_an_exception_is_its_type_and_line_and_no_value() -> None:
    """The words of the exception may contain data of a request."""
    with pytest.raises(ValueError, match="hunter2") as raised:
        int("the password is hunter2")
    found = origin(raised.value)
    assert found["error"] == "ValueError"
    assert found["at"].rpartition(":")[2].isdigit()
    assert "hunter2" not in str(found)
    assert origin(None) == {}

"""Scopes that a token is asked for."""

from __future__ import annotations

import pytest

from crm_core.access.scopes import checked_scopes, known_scopes
from crm_core.errors import InvalidRecord


def test_repeated_scopes_count_once() -> None:
    """In their order."""
    assert checked_scopes(["sync:read", "tasks:read", "sync:read"], ["tasks"]) == ("sync:read", "tasks:read")


def test_unknown_scopes_are_named_at_their_places() -> None:
    """In ASCII and cut off, with the nearest known one, or with all."""
    with pytest.raises(InvalidRecord) as refused:
        checked_scopes(["sync:read", "task:read", "\u00e9" * 90], ["tasks"])
    known = "sync:health, sync:read, sync:admin, tasks:read, tasks:write, tasks:delete, tasks:erase"
    first, second = refused.value.errors
    assert (first.pointer, first.code) == ("/scopes/1", "invalid_value")
    assert (second.pointer, second.code) == ("/scopes/2", "invalid_value")
    assert first.message.startswith("Unknown scope 'task:read'; ")
    assert "tasks:read" in first.message
    assert second.message.startswith("Unknown scope '" + r"\xe9" * 80 + "'; ")
    assert refused.value.detail == first.message
    with pytest.raises(InvalidRecord) as refused:
        checked_scopes([], ["tasks"])
    (finding,) = refused.value.errors
    assert (finding.pointer, finding.code) == ("/scopes", "missing_member")
    assert refused.value.detail == finding.message == f"Name at least one scope: {known}."


def test_no_more_scopes_are_judged_than_there_are() -> None:
    """One of the first is unknown, so thousands of made-up ones are refused without a hint for each."""
    with pytest.raises(InvalidRecord) as refused:
        checked_scopes([f"made:{at}" for at in range(20_000)], ["tasks"])
    assert len(refused.value.errors) == len(known_scopes(["tasks"])) + 1

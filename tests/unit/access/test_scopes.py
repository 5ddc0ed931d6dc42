"""Scopes that a token is asked for."""

from __future__ import annotations

import pytest

from crm_core.access.scopes import checked_scopes, known_scopes
from crm_core.errors import InvalidRecord


def test_repeated_scopes_count_once() -> None:
    """In their order."""
    assert checked_scopes(["sync:read", "tasks:read", "sync:read"], ["tasks"]) == ("sync:read", "tasks:read")


def test_no_more_scopes_are_judged_than_there_are() -> None:
    """One of the first is unknown, so thousands of made-up ones are refused without a hint for each."""
    with pytest.raises(InvalidRecord) as refused:
        checked_scopes([f"made:{at}" for at in range(20_000)], ["tasks"])
    assert len(refused.value.errors) == len(known_scopes(["tasks"])) + 1

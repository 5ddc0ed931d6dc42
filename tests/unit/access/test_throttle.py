"""The failures of accounts that one process counts."""

from __future__ import annotations

import pytest

from crm_core.access.throttle import CAPACITY, DRAIN_SECONDS, FailuresOfProcess


async def full(at: float) -> FailuresOfProcess:
    """An account of north without room for another failure."""
    failures = FailuresOfProcess()
    assert [await failures.add("north", "ada", at) for _ in range(CAPACITY)] == [0.0] * CAPACITY
    return failures


async def test_an_attempt_without_room_is_not_counted() -> None:
    """Not even within the last second of the wait, so the wait ends when it was said to."""
    failures = await full(0.0)
    assert await failures.add("north", "ada", DRAIN_SECONDS - 0.5) == pytest.approx(0.5)
    assert await failures.add("north", "ada", DRAIN_SECONDS) == 0.0
    assert await failures.add("north", "ada", DRAIN_SECONDS) == DRAIN_SECONDS


async def test_a_failure_that_is_taken_back_leaves_room_for_one() -> None:
    """Of that account alone."""
    failures = await full(7.0)
    await failures.take_back("north", "eve", 7.0)
    await failures.take_back("south", "ada", 7.0)
    assert await failures.add("north", "ada", 7.0) == DRAIN_SECONDS
    await failures.take_back("north", "ada", 7.0)
    assert await failures.add("north", "ada", 7.0) == 0.0
    assert await failures.add("north", "ada", 7.0) == DRAIN_SECONDS


async def test_failures_are_forgotten_together() -> None:
    """Those of one account."""
    failures = await full(7.0)
    await failures.forget("south", "ada", 7.0)
    assert await failures.add("north", "ada", 7.0) == DRAIN_SECONDS
    await failures.forget("north", "ada", 7.0)
    assert [await failures.add("north", "ada", 7.0) for _ in range(CAPACITY)] == [0.0] * CAPACITY

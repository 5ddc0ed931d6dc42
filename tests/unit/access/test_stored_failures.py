from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crm_core.access.stored_failures import FAILURES, StoredFailures
from crm_core.access.throttle import CAPACITY, DRAIN_SECONDS, LoginThrottle
from crm_core.errors import LoginThrottled


@pytest.fixture
def throttles(access: Any) -> list[LoginThrottle]:
    """The throttles of three processes on one store."""
    return [LoginThrottle(access.clock, StoredFailures(access.backend, CAPACITY, DRAIN_SECONDS)) for _ in range(3)]


async def attempt(throttle: LoginThrottle, email: str = "ada@x.de", *, succeeds: bool = False) -> bool:
    """Whether the attempt was let through."""
    try:
        async with throttle.attempt("north", email, None) as one:
            await asyncio.sleep(0)
            one.succeeded = succeeds
    except LoginThrottled:
        return False
    return True


async def test_an_account_is_locked_in_every_process(access: Any, throttles: list[LoginThrottle]) -> None:
    """Of many guesses in three processes ten are looked at; each is forgotten after a while, all by a success."""
    done = await asyncio.gather(*(attempt(throttles[number % 3]) for number in range(40)))
    assert done.count(True) == 10
    with pytest.raises(LoginThrottled) as refused:
        async with throttles[0].attempt("north", "Ada@x.de", None):
            pass
    assert refused.value.retry_after == 90
    assert await attempt(throttles[1], "bob@x.de")
    access.clock.forward(seconds=91)
    assert [await attempt(throttles[2], succeeds=number == 0) for number in range(2)] == [True, True]
    assert [await attempt(throttles[number % 3]) for number in range(10)] == [True] * 9 + [False]


async def test_a_new_password_ends_it_everywhere(throttles: list[LoginThrottle]) -> None:
    """A process that unlocks an account unlocks it in the others."""
    for _ in range(11):
        await attempt(throttles[0])
    assert not await attempt(throttles[1])
    await throttles[2].unlock("north", "ADA@x.de")
    assert await attempt(throttles[1])


async def test_an_attempt_that_was_not_looked_at_does_not_count(throttles: list[LoginThrottle]) -> None:
    """A password that was not checked counts in no process."""
    for number in range(30):
        async with throttles[number % 3].attempt("north", "ada@x.de", None) as one:
            one.withdrawn = True
    assert await attempt(throttles[0])


async def test_old_failures_leave_the_store(access: Any, throttles: list[LoginThrottle]) -> None:
    """Failures of many accounts do not pile up, and no address is stored."""
    for number in range(60):
        assert await attempt(throttles[number % 3], f"a{number}@x.de")
        access.clock.forward(seconds=30)
    assert await access.backend.count("north", FAILURES) <= 4
    stored = [each async for each in access.backend.documents("north", FAILURES)]
    assert not any(b"@" in each.body or "@" in each.id for each in stored)

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from crm_core.access.stored_failures import FAILURES, StoredFailures
from crm_core.access.throttle import CAPACITY, DRAIN_SECONDS, LoginThrottle
from crm_core.errors import LoginThrottled, StorageUnavailable


@pytest.fixture
def throttles(access: Any) -> list[LoginThrottle]:
    """The throttles of three processes on one store."""
    return [LoginThrottle(access.clock, StoredFailures(access.backend, CAPACITY, DRAIN_SECONDS)) for _ in range(3)]


class Away:
    """A store that does not answer."""

    asked = 0

    async def get(self, *_: str) -> Any:
        self.asked += 1
        raise StorageUnavailable("The storage does not answer.", retry_after=1)


class Contended:
    """A store in which another process counts a failure of Ada so many times after this one has read failures."""

    def __init__(self, backend: Any, times: int, at: float = 0.0, method: str = "get") -> None:
        self._backend, self._times, self._at, self._method = backend, times, at, method

    def __getattr__(self, name: str) -> Any:
        return self._contended if name == self._method else getattr(self._backend, name)

    async def _contended(self, tenant: str, *arguments: Any) -> Any:
        found = await getattr(self._backend, self._method)(tenant, *arguments)
        if self._times:
            self._times -= 1
            await StoredFailures(self._backend, 100, DRAIN_SECONDS).add(tenant, "ada@x.de", self._at)
        return found


async def attempt(throttle: LoginThrottle, email: str = "ada@x.de", *, succeeds: bool = False) -> bool:
    """Whether the attempt was let through."""
    try:
        async with throttle.attempt("north", email, None) as one:
            await asyncio.sleep(0)
            one.succeeded = succeeds
    except LoginThrottled:
        return False
    return True


async def unchecked(throttle: LoginThrottle) -> None:
    """An attempt whose password could not be checked."""
    with suppress(StorageUnavailable):
        async with throttle.attempt("north", "ada@x.de", None):
            raise StorageUnavailable("No thread.")


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
        await unchecked(throttles[number % 3])
    assert await attempt(throttles[0])


async def test_old_failures_leave_the_store(access: Any, throttles: list[LoginThrottle]) -> None:
    """Failures of many accounts do not pile up, and no address is stored."""
    for number in range(60):
        assert await attempt(throttles[number % 3], f"a{number}@x.de")
        access.clock.forward(seconds=30)
    assert await access.backend.count("north", FAILURES) <= 4
    stored = [each async for each in access.backend.documents("north", FAILURES)]
    assert not any(b"@" in each.body or "@" in each.id for each in stored)


async def test_failures_drain_one_at_a_time(access: Any, throttles: list[LoginThrottle]) -> None:
    """A locked account has room for one failure after a minute and a half, not for all of them again."""
    assert [await attempt(throttles[number % 3]) for number in range(11)] == [True] * 10 + [False]
    for _ in range(2):
        access.clock.forward(seconds=91)
        assert [await attempt(throttles[number]) for number in range(2)] == [True, False]


@pytest.mark.parametrize("before", [0, 5])
async def test_taking_back_takes_back_one(throttles: list[LoginThrottle], before: int) -> None:
    """After a password that was not checked there is room for as many failures as before it."""
    assert [await attempt(throttles[0]) for _ in range(before)] == [True] * before
    await unchecked(throttles[1])
    left = 10 - before
    assert [await attempt(throttles[2]) for _ in range(left + 1)] == [True] * left + [False]


async def test_failures_stay_until_they_have_drained(access: Any, throttles: list[LoginThrottle]) -> None:
    """Other accounts' failures do not delete those that still count; they delete them within two seconds after."""
    access.clock.forward(seconds=0.9)
    for _ in range(3):
        await attempt(throttles[0])
    counts = []
    for name, seconds in (("bob", 269.5), ("eve", 1.6)):
        access.clock.forward(seconds=seconds)
        await attempt(throttles[1], f"{name}@x.de")
        counts.append(await access.backend.count("north", FAILURES))
    assert counts == [2, 2]  # ada and bob, bob and eve


async def test_a_failure_that_is_counted_meanwhile_stays(access: Any) -> None:
    """Failures that had drained are not deleted if another process counts one more before that."""
    ada = StoredFailures(access.backend, 1, DRAIN_SECONDS)
    assert await ada.add("north", "ada@x.de", 0.0) == 0.0
    contended: Any = Contended(access.backend, 1, at=1000.0, method="page")
    assert await StoredFailures(contended, 1, DRAIN_SECONDS).add("north", "bob@x.de", 1000.0) == 0.0
    assert await ada.add("north", "ada@x.de", 1000.0) == DRAIN_SECONDS


async def test_a_new_account_deletes_three_at_most(access: Any, throttles: list[LoginThrottle]) -> None:
    """However many accounts have drained, a sign-in takes time for three."""
    for number in range(8):
        await attempt(throttles[0], f"a{number}@x.de")
    access.clock.forward(hours=1)
    counts = []
    for name in "bcd":
        await attempt(throttles[1], f"{name}@x.de")
        counts.append(await access.backend.count("north", FAILURES))
    assert counts == [6, 4, 3]


async def test_a_store_that_does_not_answer_fails_no_sign_in() -> None:
    """The failures before a success need not be forgotten: they drain."""
    away: Any = Away()
    await StoredFailures(away, CAPACITY, DRAIN_SECONDS).forget("north", "ada@x.de", 0.0)
    assert away.asked == 1


async def test_a_failure_is_counted_in_twenty_tries(access: Any) -> None:
    """A process that always loses to others says that it is too busy, and when to come again."""
    late: Any = Contended(access.backend, 19)
    assert await StoredFailures(late, 100, DRAIN_SECONDS).add("north", "ada@x.de", 0.0) == 0.0
    too_late: Any = Contended(access.backend, 20)
    with pytest.raises(StorageUnavailable) as caught:
        await StoredFailures(too_late, 100, DRAIN_SECONDS).add("north", "ada@x.de", 0.0)
    assert caught.value.detail == "Too many people are signing in to this account. Try again."
    assert caught.value.retry_after == 1

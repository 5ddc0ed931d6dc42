"""Rate limits on sign-in attempts per account and per source, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Protocol

from cachetools import LRUCache

from crm_core.errors import CrmError, LoginThrottled
from crm_core.model.domains import comparable_address
from crm_core.model.keyed_locks import KeyedLocks
from crm_core.model.sources import counted_as

_MAX_BUCKETS = 20_000  # of each kind; the least recently used is evicted
_MAX_WAITING = 200  # attempts in progress
CAPACITY, DRAIN_SECONDS = 10, 90.0  # failures of an account, and how long until one of them is forgotten


class Buckets:
    """Leaky buckets by name: each has room for ``capacity`` attempts and drains one every ``seconds``."""

    def __init__(self, capacity: int, seconds: float, maxsize: int = _MAX_BUCKETS) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._levels: LRUCache[str, tuple[float, float]] = LRUCache(maxsize)  # level at a time

    def __len__(self) -> int:
        return len(self._levels)

    def wait(self, name: str, at: float) -> float:
        """Seconds until there is room for one more; 0 if there is room now."""
        return max(0.0, (self._level(name, at) + 1 - self._capacity) * self._seconds)

    def add(self, name: str, at: float, attempts: int = 1) -> None:
        """Add attempts, or with a negative number remove some; an empty bucket is dropped."""
        level = self._level(name, at) + attempts
        if level > 0:
            self._levels[name] = (level, at)
        else:
            self.empty(name)

    def empty(self, name: str) -> None:
        """Forget all attempts."""
        self._levels.pop(name, None)

    def _level(self, name: str, at: float) -> float:
        level, since = self._levels.get(name, (0.0, at))
        return max(0.0, level - max(0.0, at - since) / self._seconds)


class AccountFailures(Protocol):
    """The failures of accounts; ``at`` in Unix seconds."""

    async def add(self, tenant: str, account: str, at: float) -> float:
        """Count a failure, or return the seconds to wait if there is no room for it."""

    async def take_back(self, tenant: str, account: str, at: float) -> None:
        """Remove one failure."""

    async def forget(self, tenant: str, account: str, at: float) -> None:
        """Forget all failures of an account."""


class FailuresOfProcess:
    """The failures in this process: all there are, if no other process serves the tenants."""

    def __init__(self) -> None:
        self._buckets = Buckets(CAPACITY, DRAIN_SECONDS)

    async def add(self, tenant: str, account: str, at: float) -> float:
        """As ``AccountFailures``."""
        name = f"{tenant}/{account}"
        if (wait := self._buckets.wait(name, at)) <= 0:
            self._buckets.add(name, at)
        return wait

    async def take_back(self, tenant: str, account: str, at: float) -> None:
        """As ``AccountFailures``."""
        self._buckets.add(f"{tenant}/{account}", at, -1)

    async def forget(self, tenant: str, account: str, at: float) -> None:  # noqa: ARG002 -- of the protocol
        """As ``AccountFailures``."""
        self._buckets.empty(f"{tenant}/{account}")


class SignInAttempt:
    """A sign-in in progress; the code that checks the password sets the outcome, or raises if it cannot check it."""

    def __init__(self) -> None:
        self.succeeded = False


class LoginThrottle:
    """Ten failures of an account, a hundred of a source; each is forgotten within a quarter of an hour.

    The attempts of an account take turns, so parallel ones neither slip through nor fail each other. Accounts that do
    not exist are treated the same. ``accounts``: where failures of accounts are counted, if other processes count too;
    those of a source are counted by each process.
    """

    def __init__(self, now: Callable[[], datetime], accounts: AccountFailures | None = None) -> None:
        self._now = now
        self._accounts = accounts or FailuresOfProcess()
        self._sources = Buckets(100, 9.0)
        self._turns = KeyedLocks()
        self._waiting = 0

    @asynccontextmanager
    async def attempt(self, tenant: str, email: str, source: str | None) -> AsyncIterator[SignInAttempt]:
        """Apply both limits to an attempt, and count it unless it succeeded or raised. Raises LoginThrottled."""
        account, network = _account(email), counted_as(source)
        async with self._turn(tenant, account):
            if (wait := self._sources.wait(network, self._at())) <= 0:
                wait = await self._accounts.add(tenant, account, self._at())
            if wait > 0:
                seconds = math.ceil(wait)
                raise LoginThrottled(
                    f"Too many failed sign-ins for this account or from this address. Try again in {seconds} s.",
                    retry_after=seconds,
                )
            # Counted from its start: a source may have many in progress, and an account one in each process.
            self._sources.add(network, self._at())
            attempt = SignInAttempt()
            try:
                yield attempt
            except BaseException:  # the password was not checked
                self._sources.add(network, self._at(), -1)
                with suppress(CrmError):
                    await self._accounts.take_back(tenant, account, self._at())
                raise
            if attempt.succeeded:
                self._sources.add(network, self._at(), -1)
                await self._accounts.forget(tenant, account, self._at())

    async def unlock(self, tenant: str, email: str) -> None:
        """Forget the failures of an account; those of their source addresses still count."""
        await self._accounts.forget(tenant, _account(email), self._at())

    @asynccontextmanager
    async def _turn(self, tenant: str, account: str) -> AsyncIterator[None]:
        if self._waiting >= _MAX_WAITING:
            raise LoginThrottled("Too many people are signing in right now. Try again in a second.", retry_after=1)
        self._waiting += 1
        try:
            async with self._turns.of(tenant, account):
                yield
        finally:
            self._waiting -= 1

    def _at(self) -> float:
        return self._now().timestamp()


def _account(email: str) -> str:
    """An account as sign-in looks it up: spellings of an address that match one user share their failures."""
    return comparable_address(email)[:254]

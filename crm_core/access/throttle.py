"""Sign-in attempts are slowed down per account and per source, in bounded memory."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv6Address, ip_address, ip_network

from crm_core.errors import LoginThrottled

_KEPT = 20_000  # buckets of each kind; past it the longest untouched goes
_V6_PREFIX = 64  # one customer's network


class Buckets:
    """Leaky buckets by name: each holds ``capacity`` attempts and loses one every ``seconds``."""

    def __init__(self, capacity: int, seconds: float, kept: int = _KEPT) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._kept = kept
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # level, at

    def __len__(self) -> int:
        return len(self._levels)

    def wait(self, name: str, at: float) -> float:
        """Seconds until there is room for one more; 0 where there is."""
        return max(0.0, (self._level(name, at) + 1 - self._capacity) * self._seconds)

    def add(self, name: str, at: float, attempts: int = 1) -> None:
        """Add attempts, or take some back; an empty bucket is forgotten."""
        level = self._level(name, at) + attempts
        self._levels.pop(name, None)
        if level > 0:
            self._levels[name] = (level, at)
        while len(self._levels) > self._kept:
            self._levels.popitem(last=False)

    def empty(self, name: str) -> None:
        """Forget all attempts."""
        self._levels.pop(name, None)

    def _level(self, name: str, at: float) -> float:
        level, since = self._levels.get(name, (0.0, at))
        return max(0.0, level - max(0.0, at - since) / self._seconds)


class LoginThrottle:
    """Ten failures of an account, a hundred of a source; each is forgotten within a quarter of an hour.

    An attempt counts from its start, so that many at once do not slip through, and is taken back when it succeeds.
    Accounts that do not exist are held just the same.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._accounts = Buckets(10, 90.0)
        self._sources = Buckets(100, 9.0)

    def begin(self, tenant: str, email: str, source: str | None) -> None:
        """Count an attempt. Raises LoginThrottled with the seconds to wait."""
        at = self._now().timestamp()
        account, network = _account(tenant, email), _network(source)
        wait = max(self._accounts.wait(account, at), self._sources.wait(network, at))
        if wait > 0:
            told = "Too many attempts to sign in failed for this account or from this address; wait, then try again."
            raise LoginThrottled(told, retry_after=math.ceil(wait))
        self._accounts.add(account, at)
        self._sources.add(network, at)

    def withdraw(self, tenant: str, email: str, source: str | None) -> None:
        """Take back an attempt that was not looked at."""
        at = self._now().timestamp()
        self._accounts.add(_account(tenant, email), at, -1)
        self._sources.add(_network(source), at, -1)

    def succeeded(self, tenant: str, email: str, source: str | None) -> None:
        """Take the attempt back: the account starts afresh, the source only loses this one."""
        self._accounts.empty(_account(tenant, email))
        self._sources.add(_network(source), self._now().timestamp(), -1)


def _account(tenant: str, email: str) -> str:
    return f"{tenant}/{email.lower()[:254]}"


def _network(source: str | None) -> str:
    try:
        address = ip_address(source or "")
    except ValueError:
        return source or "unknown"
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _V6_PREFIX), strict=False))
    return str(address)

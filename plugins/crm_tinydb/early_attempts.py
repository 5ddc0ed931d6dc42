"""Unverified attempts on tenants that are not open, until the tenants are opened for them."""

from __future__ import annotations

from collections.abc import Iterable

from crm_core.model.log import LogEntry


class EarlyAttempts:
    """The newest attempts of each tenant, at most ``limit``; an attempt with a known id replaces that one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[str, dict[str, LogEntry]] = {}

    @property
    def tenants(self) -> list[str]:
        """The names of the tenants that attempts wait for."""
        return list(self._waiting)

    def add(self, name: str, entry: LogEntry) -> None:
        """Add an attempt; past the limit the oldest goes."""
        waiting = self._waiting.setdefault(name, {})
        waiting[entry.id] = entry
        if len(waiting) > self._limit:
            del waiting[next(iter(waiting))]

    def take(self, name: str) -> Iterable[LogEntry]:
        """Remove and return the attempts of a tenant."""
        return self._waiting.pop(name, {}).values()

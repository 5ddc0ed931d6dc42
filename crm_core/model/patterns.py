"""Patterns over feature keys: a key, ``module.*``, ``*.action``, or ``*`` for every key."""

from __future__ import annotations

from collections.abc import Iterable


def matches(pattern: str, key: str) -> bool:
    """Whether a pattern covers a feature key."""
    if pattern in ("*", key):
        return True
    module, _, action = key.partition(".")
    return pattern in (f"{module}.*", f"*.{action}")


def expand(patterns: Iterable[str], keys: Iterable[str]) -> frozenset[str]:
    """The keys that any of the patterns covers."""
    wanted = frozenset(patterns)
    if "*" in wanted:
        return frozenset(keys)
    return frozenset(key for key in keys if key in wanted or _by_half(key, wanted))


def _by_half(key: str, wanted: frozenset[str]) -> bool:
    module, _, action = key.partition(".")
    return f"{module}.*" in wanted or f"*.{action}" in wanted

"""Patterns over feature keys: a key, ``module.*``, ``*.action``, or ``*`` for every key."""

from __future__ import annotations

from collections.abc import Iterable


def module_of(pattern: str) -> str | None:
    """The module that a key, a pattern or a bare name is about; None if it is about all of them."""
    module = pattern.partition(".")[0]
    return None if module == "*" else module


def expand(patterns: Iterable[str], keys: Iterable[str]) -> frozenset[str]:
    """The keys that any of the patterns covers."""
    wanted = frozenset(patterns)
    if "*" in wanted:
        return frozenset(keys)
    modules = {pattern[:-2] for pattern in wanted if pattern.endswith(".*")}
    actions = {pattern[2:] for pattern in wanted if pattern.startswith("*.")}
    return frozenset(key for key in keys if key in wanted or _by_half(key, modules, actions))


def _by_half(key: str, modules: set[str], actions: set[str]) -> bool:
    module, _, action = key.partition(".")
    return module in modules or action in actions

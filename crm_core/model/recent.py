"""Cached values: a bounded number by key, or a single one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A cache of the ``most`` values that were used last, faster than that of cachetools."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[K, V] = {}  # the least recently used first
        self.items = self._values.items

    def get(self, key: K) -> V | None:
        """A value, None if it is not cached."""
        value = self._values.pop(key, None)
        if value is not None:
            self._values[key] = value
        return value

    def add(self, key: K, value: V) -> None:
        """Cache a value, which is not None."""
        self._values.pop(key, None)
        if len(self._values) >= self._most:
            del self._values[next(iter(self._values))]
        self._values[key] = value

    def forget(self, key: K) -> None:
        """Drop a value."""
        self._values.pop(key, None)


class cached(Generic[V]):  # noqa: N801 -- a decorator
    """A property that is derived once, for values: ``functools.cached_property`` takes a lock before Python 3.12."""

    def __init__(self, derive: Callable[[Any], V]) -> None:
        self._derive, self._name, self.__doc__ = derive, derive.__name__, derive.__doc__

    def __get__(self, instance: Any, _: type) -> V:
        value = instance.__dict__[self._name] = self._derive(instance)
        return value


def once(derive: Callable[[], V]) -> Callable[[], V]:
    """A function that derives its value at the first call; cheaper to make than with functools.cache."""
    derived: list[V] = []

    def value() -> V:
        if not derived:
            derived.append(derive())
        return derived[0]

    return value

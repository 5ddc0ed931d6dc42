"""Values that are worked out again if they are forgotten, a bounded number of them."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A cache that starts over when it is full: the cheapest bound, for values of few differing keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[K, V] = {}
        self.get = self._values.get

    def add(self, key: K, value: V) -> None:
        """Cache a value."""
        if len(self._values) >= self._most:
            self._values.clear()
        self._values[key] = value

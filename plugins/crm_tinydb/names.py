"""The names of all tenants."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator


class TenantNames(Collection[str]):
    """A set that iterates in order, and is not sorted again for it."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._set = set(names)
        self._sorted = sorted(self._set)

    def __contains__(self, name: object) -> bool:
        return name in self._set

    def __iter__(self) -> Iterator[str]:
        return iter(self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, name: str) -> None:
        """Add a name."""
        if name not in self._set:
            self._set.add(name)
            insort(self._sorted, name)

    def discard(self, name: str) -> None:
        """Remove a name, if it is there."""
        if name in self._set:
            self._set.discard(name)
            del self._sorted[bisect_left(self._sorted, name)]

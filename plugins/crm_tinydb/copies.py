"""Copies of large dictionaries as of one moment, made in turns: no batch may be published meanwhile."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Final, Generic, TypeVar

from crm_core.model.turns import Turn

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

PART: Final = 1024  # items copied or sorted between two looks at the clock


class Copy(Generic[K, V]):
    """The items of a dictionary, as two lists: a dictionary copied in parts would take five times as long."""

    def __init__(self, keys: list[K], values: list[V]) -> None:
        self._keys, self._values = keys, values

    def items(self) -> Iterator[tuple[K, V]]:
        """The items in the dictionary's order."""
        return zip(self._keys, self._values, strict=True)


def copied(source: Mapping[K, V]) -> Copy[K, V]:
    """A copy made at one go, which only a thread or a small dictionary may take."""
    return Copy(list(source), list(source.values()))


async def copied_in_turns(source: Mapping[K, V], turn: Turn) -> Copy[K, V]:
    """A copy of a dictionary that does not change meanwhile."""
    return Copy(await _listed(source, turn), await _listed(source.values(), turn))


async def _listed(items: Collection[T], turn: Turn) -> list[T]:
    listed, rest = list[T](), iter(items)
    while len(listed) < len(items):
        listed.extend(islice(rest, PART))
        await turn.pause()
    return listed


async def sorted_in_turns(copy: Copy[str, V]) -> Iterator[tuple[str, V]]:
    """The items by key."""
    items, parts, turn = copy.items(), list[list[tuple[str, V]]](), Turn()
    while part := sorted(islice(items, PART), key=_key):
        parts.append(part)
        await turn.pause()
    return heapq.merge(*parts, key=_key)


def _key(item: tuple[str, object]) -> str:
    return item[0]

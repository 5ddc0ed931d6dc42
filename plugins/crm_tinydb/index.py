"""Ordered indexes over the rows of a collection.

Rows and slots are plain tuples of texts, numbers and bytes, which the garbage collector stops looking at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sortedcontainers import SortedList

from crm_core.plugin.unit import IndexValue

Row = tuple[int, bytes, tuple[str, ...], tuple[IndexValue, ...]]  # revision, body, index names, index values
Ranked = tuple[int, int | str]
Slot = tuple[int, int | str, str]  # rank, value, id
Moved = tuple[str, Row | None, Row | None]  # id, the row before and after
LAST = "\U0010ffff"


def ranked(value: IndexValue) -> Ranked:
    """A value that sorts across kinds: null, false, true, integers, texts."""
    if value is None:
        return (0, 0)
    if isinstance(value, bool):
        return (1, int(value))
    if isinstance(value, int):
        return (2, value)
    if isinstance(value, str):
        return (3, value)
    return (4, "\0".join(value))


def plain(rank: int, value: int | str) -> IndexValue:
    """The value that ``ranked`` was given."""
    return None if rank == 0 else bool(value) if rank == 1 else value


def value_of(row: Row, index: str) -> IndexValue:
    """What a row holds in an index; null where it was put without it."""
    names = row[2]
    return row[3][names.index(index)] if index in names else None


def slots(value: IndexValue, id_: str) -> Iterable[Slot]:
    """The places of a document in an index: one, or one for each value of a tuple."""
    if isinstance(value, str):
        return ((3, value, id_),)
    if isinstance(value, tuple):
        return [(3, each, id_) for each in set(value)]
    return ((*ranked(value), id_),)


class Index:
    """The rows in the order of one index. ``seen``: how many of the collection's latest moves are in it."""

    def __init__(self, name: str) -> None:
        self.name, self.seen = name, 0
        self.ordered: SortedList[Slot] = SortedList()

    def build(self, rows: Mapping[str, Row]) -> None:
        """Take all rows at once."""
        found: list[Slot] = []
        shape: tuple[str, ...] | None = None
        at: int | None = None
        for id_, (_, _, names, values) in rows.items():
            if names is not shape:  # rows of one shape follow one another: look the name up once for all of them
                shape, at = names, names.index(self.name) if self.name in names else None
            value = None if at is None else values[at]
            if isinstance(value, str):
                found.append((3, value, id_))
            else:
                found += slots(value, id_)
        self.ordered = SortedList(found)

    def follow(self, moves: Sequence[Moved]) -> None:
        """Take the moves that are new to it."""
        name, add, remove = self.name, self.ordered.add, self.ordered.remove
        for id_, old, new in moves[self.seen :]:
            before = None if old is None else value_of(old, name)
            value = None if new is None else value_of(new, name)
            if old is not None:
                if new is not None and before == value and type(before) is type(value):
                    continue
                for slot in slots(before, id_):
                    remove(slot)
            if isinstance(value, str):  # most are; the rest takes the longer way to the same place
                add((3, value, id_))
            elif new is not None:
                for slot in slots(value, id_):
                    add(slot)
        self.seen = len(moves)

    def holders(self, value: IndexValue) -> Iterator[str]:
        """The ids that hold a value, lowest first."""
        rank, key = ranked(value)
        return (slot[2] for slot in self.ordered.irange((rank, key, ""), (rank, key, LAST)))

    def ids(self, low: Ranked, high: Ranked) -> list[str]:
        """The ids from one value to another; an id comes once for each of its slots."""
        return [slot[2] for slot in self.ordered.irange((*low, ""), (*high, LAST))]

    def count(self, low: Ranked, high: Ranked) -> int:
        """How many slots lie from one value to another."""
        return self.ordered.bisect_right((*high, LAST)) - self.ordered.bisect_left((*low, ""))

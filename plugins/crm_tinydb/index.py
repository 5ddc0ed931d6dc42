"""Sorted indexes over the rows of a collection.

Rows and slots are plain tuples of strings, numbers and bytes, which the garbage collector stops tracking.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast

from crm_core.plugin.unit import IndexValue
from crm_tinydb.copies import Copy
from crm_tinydb.sorted_slots import Slot, SortedSlots

# Revision, body, index names, index values, the place of its newest entry in the change log.
Row = tuple[int, bytes, tuple[str, ...], tuple[IndexValue, ...], int]
Ranked = tuple[int, int | str]
Rows = Mapping[str, Row] | Copy[str, Row]
Moved = tuple[str, Row | None, Row | None]  # id, the row before and after
LAST = "\U0010ffff"
PART = 5000  # ids that are gathered without a pause
NULL = 5  # the rank of null: after all values


def ranked(value: IndexValue) -> Ranked:
    """A sort key across kinds: false, true, integers, texts, null."""
    if value is None:
        return (NULL, 0)
    if isinstance(value, bool):
        return (1, int(value))
    if isinstance(value, int):
        return (2, value)
    if isinstance(value, str):
        return (3, value)
    return (4, "\0".join(value))


def plain(rank: int, value: int | str) -> IndexValue:
    """The value that ``ranked`` was given."""
    return None if rank == NULL else bool(value) if rank == 1 else value


def value_of(row: Row, index: str) -> IndexValue:
    """A row's value in an index; None if it was put without it."""
    names = row[2]
    return row[3][names.index(index)] if index in names else None


def slots(value: IndexValue, id_: str) -> Iterable[Slot]:
    """The slots of a document in an index: one, or one for each value of a tuple."""
    if isinstance(value, str):
        return ((3, value, id_),)
    if isinstance(value, tuple) and value:
        return [(3, each, id_) for each in set(value)]
    return ((*ranked(value or None if isinstance(value, tuple) else value), id_),)


class Index:
    """The rows in the order of one index. ``seen``: how many of the collection's latest moves it includes."""

    def __init__(self, name: str, seen: int = 0) -> None:
        self.name, self.seen = name, seen
        self.sorted_slots = SortedSlots()
        self._shape: tuple[str, ...] | None = None  # of the row before
        self._at: int | None = None

    def build(self, rows: Rows) -> None:
        """Index all rows."""
        self.sorted_slots = SortedSlots(self._texts(rows) or self._slots(rows.items()))

    def _texts(self, rows: Rows) -> list[Slot]:
        """The slots if all rows have one shape and a text, as most do: several times as fast. Otherwise none."""
        shape = next((row[2] for _, row in rows.items()), ())
        if self.name not in shape or any(row[2] is not shape for _, row in rows.items()):
            return []
        at = shape.index(self.name)
        found: list[Any] = [(3, row[3][at], id_) for id_, row in rows.items()]
        return found if {type(slot[1]) for slot in found} == {str} else []

    def follow(self, moves: Sequence[Moved], most: int | None = None) -> None:
        """Apply the moves that are new, or only the first of them."""
        end = len(moves) if most is None else min(self.seen + most, len(moves))
        added: list[Slot] = []
        for id_, old, new in moves[self.seen : end]:
            value = None if new is None else self._value(new)
            if old is None:
                if isinstance(value, str):
                    added.append((3, value, id_))
                else:
                    added += slots(value, id_)
                continue
            before = self._value(old)
            if new is not None and before == value and type(before) is type(value):
                continue  # as in most indexes of a row that changed
            if added:
                self.sorted_slots.add(added)
                added = []
            self._replace(id_, before, value, is_gone=new is None)
        self.sorted_slots.add(added)
        self.seen = end

    def _value(self, row: Row) -> IndexValue:
        """A row's value; rows of one shape are adjacent, so that the name is rarely looked up."""
        names = row[2]
        if names is not self._shape:
            self._shape, self._at = names, names.index(self.name) if self.name in names else None
        return None if self._at is None else row[3][self._at]

    def _slots(self, rows: Iterable[tuple[str, Row]]) -> list[Slot]:
        found: list[Slot] = []
        for id_, row in rows:
            value = self._value(row)
            if isinstance(value, str):
                found.append((3, value, id_))
            else:
                found += slots(value, id_)
        return found

    def _replace(self, id_: str, before: IndexValue, value: IndexValue, *, is_gone: bool) -> None:
        if isinstance(before, tuple) and isinstance(value, tuple) and before and value:
            left, came = set(before), set(value)  # most words of an edited text stay
            removed: Iterable[Slot] = [(3, each, id_) for each in left - came]
            added: Iterable[Slot] = [(3, each, id_) for each in came - left]
        else:
            removed, added = slots(before, id_), () if is_gone else slots(value, id_)
        for slot in removed:
            self.sorted_slots.remove(slot)
        self.sorted_slots.add(added)

    def ids_with(self, value: IndexValue) -> Iterator[str]:
        """The ids with a value, lowest first."""
        return self.sorted_slots.ids_with(*ranked(value))

    def ids(self, low: Ranked, high: Ranked, inside: tuple[int, str] = (0, "")) -> Generator[None, None, list[str]]:
        """The ids from one value to another, once for each slot; other tasks may run between two parts.

        ``inside``: only of texts that contain a text at or after a position.
        """
        found: list[str] = []
        start, end = (*low, ""), (*high, LAST)
        while True:
            part = list(islice(self.sorted_slots.between(start, end), PART))
            at, text = inside
            found += [slot[2] for slot in part if not text or cast("str", slot[1]).find(text, at) >= 0]
            if len(part) < PART:
                return found
            start = (*part[-1][:2], part[-1][2] + "\0")  # the index may change here
            yield

    def count(self, low: Ranked, high: Ranked) -> int:
        """The number of slots from one value to another."""
        return self.sorted_slots.count((*low, ""), (*high, LAST))

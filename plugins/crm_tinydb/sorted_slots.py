"""Sorted slots in chunks: adding, removing and finding touch one chunk, however many slots there are."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from itertools import chain, islice

Slot = tuple[int, int | str, str]  # rank, value, id: no two are alike
CHUNK = 512  # slots; a chunk of twice as many is split
RUN = 4096  # slots that are sorted together
SAMPLED = 256  # one slot of so many decides where runs end


def _sorted_runs(slots: list[Slot]) -> Iterable[list[Slot]]:
    """The slots in order, as lists. No single sort is long: during one no other thread gets the interpreter."""
    if len(slots) <= RUN:
        return (sorted(slots),)
    bounds = sorted(slots[::SAMPLED])[RUN // SAMPLED :: RUN // SAMPLED]
    runs: list[list[Slot]] = [[] for _ in range(len(bounds) + 1)]
    for slot in slots:
        runs[bisect_right(bounds, slot)].append(slot)
    return map(sorted, runs)


class SortedSlots:
    """A sorted set of slots. An iteration must end, or start again, before the set changes."""

    def __init__(self, slots: Iterable[Slot] = ()) -> None:
        runs = _sorted_runs(list(slots))
        self._chunks = [run[at : at + CHUNK] for run in runs for at in range(0, len(run), CHUNK)] or [[]]
        self._bounds = [chunk[0] for chunk in self._chunks[1:]]  # between two chunks: smaller slots come before it

    def add(self, slots: Iterable[Slot]) -> None:
        """Add slots that are not in the set."""
        chunks, bounds, most = self._chunks, self._bounds, 2 * CHUNK
        for slot in slots:
            at = bisect_right(bounds, slot)
            chunk = chunks[at]
            if chunk and slot > chunk[-1]:  # times and ids grow
                chunk.append(slot)
            else:
                insort(chunk, slot)
            if len(chunk) >= most:
                rest = chunk[CHUNK:]
                del chunk[CHUNK:]
                chunks.insert(at + 1, rest)
                bounds.insert(at, rest[0])

    def remove(self, slot: Slot) -> None:
        """Remove a slot. Raises ValueError if it is not in the set."""
        at = bisect_right(self._bounds, slot)
        chunk = self._chunks[at]
        place = bisect_left(chunk, slot)
        if place == len(chunk) or chunk[place] != slot:
            raise ValueError(f"{slot!r} is not in the index")
        del chunk[place]
        if not chunk and self._bounds:
            del self._chunks[at]
            del self._bounds[max(at - 1, 0)]

    def ids_with(self, rank: int, value: int | str) -> Iterator[str]:
        """The ids with a value, lowest first."""
        at, place = self._place((rank, value, ""))
        for number in range(at, len(self._chunks)):
            chunk = self._chunks[number]
            while place < len(chunk):  # the rest of a chunk is not copied: most values have one id or none
                slot = chunk[place]
                if slot[0] != rank or slot[1] != value:
                    return
                yield slot[2]
                place += 1
            place = 0

    def count(self, low: Slot, high: Slot) -> int:
        """The number of slots from ``low`` to ``high``, both included."""
        if low > high:
            return 0
        first, start = self._place(low)
        last = bisect_right(self._bounds, high)
        end = bisect_right(self._chunks[last], high)
        return sum(map(len, self._chunks[first:last])) + end - start

    def between(self, low: Slot, high: Slot) -> Iterator[Slot]:
        """The slots from ``low`` to ``high``, both included."""
        first, start = self._place(low)
        return islice(self._from(first, start), self.count(low, high))

    def up(self, after: Slot | None) -> Iterator[Slot]:
        """The slots after one, or all, upwards."""
        if after is None:
            return chain.from_iterable(self._chunks)
        at = bisect_right(self._bounds, after)
        return self._from(at, bisect_right(self._chunks[at], after))

    def down(self, before: Slot | None) -> Iterator[Slot]:
        """The slots before one, or all, downwards."""
        if before is None:
            return chain.from_iterable(map(reversed, reversed(self._chunks)))
        at, place = self._place(before)
        rest = map(reversed, reversed(self._chunks[:at]))
        return chain(reversed(self._chunks[at][:place]), chain.from_iterable(rest))

    def taken(self) -> list[list[Slot]]:
        """The slots in chunks, which the set no longer has."""
        chunks, self._chunks, self._bounds = self._chunks, [[]], []
        return chunks

    def _place(self, slot: Slot) -> tuple[int, int]:
        """Chunk and position of the first slot that is not smaller."""
        at = bisect_right(self._bounds, slot)
        return at, bisect_left(self._chunks[at], slot)

    def _from(self, at: int, place: int) -> Iterator[Slot]:
        return chain(self._chunks[at][place:], chain.from_iterable(self._chunks[at + 1 :]))

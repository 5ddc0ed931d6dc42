"""Pages of a collection: walk the sort order, or sort the few rows that meet a condition, whichever is faster.

Both are generators that yield every so many rows so that the loop can run; most pages need no yield.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice, takewhile
from typing import TypeVar

from msgspec.structs import replace

from crm_core.model.turns import Turn
from crm_core.plugin.query import Bound, Page, PageQuery, Term
from crm_core.plugin.unit import IndexValue
from crm_tinydb.change import encode
from crm_tinydb.collection import PAGES, Collection
from crm_tinydb.index import LAST, NULL, PART, Index, Ranked, Row, plain, ranked, value_of
from crm_tinydb.sorted_slots import Slot, SortedSlots
from crm_tinydb.state import State

T = TypeVar("T")
Test = Callable[[Row], bool]
Slowly = Generator[None, None, T]
STEP = 64  # rows tested between two looks at the clock


class Condition:
    """A condition on rows: a test, how many rows may meet it, and their ids. ``exact``: just these do, each once."""

    def __init__(self, test: Test, count: int, ids: Callable[[], Slowly[list[str]]], *, exact: bool = True) -> None:
        self.test, self.count, self.ids, self.exact = test, count, ids, exact

    def candidates(self) -> Slowly[list[str]]:
        """The ids, each once."""
        ids = yield from self.ids()
        if self.exact:
            return ids
        once: dict[str, None] = {}
        for start in range(0, len(ids), PART):
            if start:
                yield
            once.update(dict.fromkeys(ids[start : start + PART]))
        return list(once)


async def read_page(state: State, query: PageQuery) -> Page:
    """A page; first pages are cached until a row changes, since the same few are read again and again."""
    collection, key = state.collection(query.collection), encode(query)
    pages = collection.pages
    if (known := pages.get(key)) is not None:
        return replace(known, revision=state.revision)
    work = page(collection, query)
    while True:
        try:
            next(work)
        except StopIteration as done:
            slots, total = done.value
            found = paged(collection, query, slots, total, state.revision)
            break
        await asyncio.sleep(0)
    if query.after is None and not query.terms:
        if len(pages) >= PAGES:
            pages.clear()
        pages[key] = found
    return found


def page(collection: Collection, query: PageQuery) -> Slowly[tuple[list[Slot], int | None]]:
    """The slots of a page in the order of ``query.sort``, plus one if more follow, and the total."""
    conditions = _conditions(collection, query)
    tests = [condition.test for condition in conditions]
    size = len(collection.rows)
    if not conditions:
        return (yield from _walk(collection, query, tests)), size
    narrowest = min(conditions, key=lambda each: each.count)
    # A walk tests about limit * size / count rows; sorting tests each of the count.
    few = narrowest.count * narrowest.count <= 2 * (query.limit + 1) * max(size, 1)
    known = narrowest.count if len(conditions) == 1 and narrowest.exact else None
    if few or (query.total and known is None):
        matching = yield from _matching(collection, (yield from narrowest.candidates()), tests)
        known = len(matching)
    if few:
        return (yield from _sorted(collection, query, matching)), known
    return (yield from _walk(collection, query, tests)), known


def paged(collection: Collection, query: PageQuery, found: Sequence[Slot], total: int | None, revision: int) -> Page:
    """The page with the documents of the slots."""
    slots = found[: query.limit]
    last = slots[-1] if len(found) > query.limit and slots else None
    return Page(
        documents=collection.documents(slot[2] for slot in slots),
        next=None if last is None else (plain(last[0], last[1]), last[2]),
        revision=revision,
        total=total if query.total else None,
    )


def _conditions(collection: Collection, query: PageQuery) -> list[Condition]:
    found = [_equal_to_any(collection, name, values) for name, values in query.filters]
    found += [_matches(collection, query.search, term) for term in query.terms]
    return found + [_within(collection, bound) for bound in query.bounds]


def _equal_to_any(collection: Collection, name: str, values: tuple[IndexValue, ...]) -> Condition:
    if len(values) == 1:
        return _equal(collection, name, values[0])
    each = [_equal(collection, name, value) for value in values]

    def test(row: Row) -> bool:
        return any(one.test(row) for one in each)

    count = sum(one.count for one in each)
    return Condition(test, count, lambda: _all_ids(one.ids() for one in each), exact=False)


def _equal(collection: Collection, name: str, value: IndexValue) -> Condition:
    wanted = ranked(value)
    names: tuple[str, ...] = ()  # of the previous row: most rows of a collection share theirs
    at = -1

    def test(row: Row) -> bool:
        nonlocal names, at
        if row[2] is not names:
            names = row[2]
            at = names.index(name) if name in names else -1
        actual = row[3][at] if at >= 0 else None
        if actual == value:
            return type(actual) is type(value)  # 1 is not true
        return type(actual) is tuple and value in actual

    index = collection.index(name)
    if index is None:
        found = list(collection.rows) if value is None else []
        return Condition(test, len(found), lambda: _all_ids([_as_they_are(found)]))
    return Condition(test, index.count(wanted, wanted), lambda: index.ids(wanted, wanted))


def _as_they_are(ids: list[str]) -> Slowly[list[str]]:
    return ids
    yield  # makes it a generator


def _all_ids(each: Iterable[Slowly[list[str]]]) -> Slowly[list[str]]:
    found: list[str] = []
    for one in each:
        found += yield from one
    return found


def _matches(collection: Collection, name: str, term: Term) -> Condition:
    prefix, (mark, text) = term.prefix, term.inside or ("", "")

    def meets(value: str) -> bool:
        return (prefix is not None and value.startswith(prefix)) or (
            term.inside is not None and value.startswith(mark) and value.find(text, len(mark)) >= 0
        )

    def test(row: Row) -> bool:
        actual = value_of(row, name)
        if isinstance(actual, tuple):
            return any(meets(each) for each in actual)
        return isinstance(actual, str) and meets(actual)

    index = collection.index(name)
    starts = [each for each in (prefix, None if term.inside is None else mark) if each is not None]
    ranges = [((3, start), (3, start + LAST)) for start in starts]
    if index is None:
        return Condition(test, 0, lambda: _all_ids(()))
    count = sum(index.count(*each) for each in ranges)
    return Condition(test, count, lambda: _all_ids(index.ids(*each) for each in ranges), exact=False)


def _within(collection: Collection, bound: Bound) -> Condition:
    wanted, below = ranked(bound.value), bound.comparison in ("lt", "lte")
    inclusive = bound.comparison in ("gte", "lte")
    first, last = (-1, 0), (NULL - 1, LAST)  # of all values but null

    def test(row: Row) -> bool:
        actual = ranked(value_of(row, bound.index))
        if actual[0] == NULL:
            return False
        return (actual == wanted and inclusive) or (actual < wanted if below else actual > wanted)

    low, high = (first, wanted) if below else (wanted, last)
    return _between(collection.index(bound.index), low, high, test, exact=inclusive)


def _between(index: Index | None, low: Ranked, high: Ranked, test: Test, *, exact: bool) -> Condition:
    if index is None:
        return Condition(test, 0, lambda: _all_ids(()))
    return Condition(test, index.count(low, high), lambda: index.ids(low, high), exact=exact)


def _matching(collection: Collection, ids: list[str], tests: list[Test]) -> Slowly[list[str]]:
    rows, matching, turn = collection.rows, list[str](), Turn()
    for start in range(0, len(ids), STEP):
        if start and turn.over:
            yield
        for id_ in ids[start : start + STEP]:
            row = rows.get(id_)
            if row is not None and all(test(row) for test in tests):
                matching.append(id_)
    return matching


def _walk(collection: Collection, query: PageQuery, tests: list[Test]) -> Slowly[list[Slot]]:
    if collection.index(query.sort) is None:
        return (yield from _sorted(collection, query, (yield from _matching(collection, list(collection.rows), tests))))
    found, turn, rows = list[Slot](), Turn(), collection.rows
    last = None if query.after is None else (*ranked(query.after[0]), query.after[1])
    walked = 0
    while True:
        onward = _onward(collection, query, last)
        while step := list(islice(onward, min(STEP, query.limit + 1))):
            met, walked = step, walked + len(step)
            for test in tests:
                met = [slot for slot in met if test(rows[slot[2]])]
            found += met
            if len(found) > query.limit:
                return found[: query.limit + 1]
            if walked > 2 * STEP and turn.over:  # the clock is a system call, and most pages are short
                last = step[-1]
                break
        else:
            return found
        yield  # the index may change here, so the walk continues after the last slot


def _onward(collection: Collection, query: PageQuery, last: Slot | None) -> Iterator[Slot]:
    index = collection.index(query.sort)
    if index is None:
        return iter(())
    if query.descending:
        return _downward(index.sorted_slots, last)
    return index.sorted_slots.up(last)


def _downward(slots: SortedSlots, last: Slot | None) -> Iterator[Slot]:
    """Values from the highest down, then null."""
    if last is None or last[0] != NULL:
        yield from slots.down(last or (NULL, 0, ""))
        last = None
    yield from takewhile(_is_null, slots.down(last))


def _is_null(slot: Slot) -> bool:
    return slot[0] == NULL


def _sorted(collection: Collection, query: PageQuery, ids: list[str]) -> Slowly[list[Slot]]:
    """The first slots of these rows: of every step's rows only those that may be among them stay."""
    rows, turn = collection.rows, Turn()
    start = None if query.after is None else (*ranked(query.after[0]), query.after[1])
    first: list[Slot] = []
    step = max(query.limit, STEP)
    for at in range(0, len(ids), step):
        if at and turn.over:
            yield
        for id_ in ids[at : at + step]:
            if id_ in rows:
                slot = (*ranked(value_of(rows[id_], query.sort)), id_)
                if start is None or _follows(slot, start, descending=query.descending):
                    first.append(slot)
        first.sort(reverse=query.descending)
        if query.descending:
            first.sort(key=_is_null)  # stable: null is last in both directions
        del first[query.limit + 1 :]
    return first


def _follows(slot: Slot, start: Slot, *, descending: bool) -> bool:
    if descending and _is_null(slot) == _is_null(start):
        return slot < start
    return slot > start

"""Pages of a collection: walk the sort order, or sort the few rows that meet a condition, whichever is faster.

Both are generators that yield every so many rows so that the loop can run; most pages need no yield.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice, takewhile

from msgspec.structs import replace

from crm_core.model.turns import Turn
from crm_core.plugin.query import Page, PageQuery
from crm_tinydb.change import encode
from crm_tinydb.collection import PAGES, Collection
from crm_tinydb.conditions import Slowly, Test, conditions_of
from crm_tinydb.index import NULL, plain, ranked, value_of
from crm_tinydb.sorted_slots import Slot, SortedSlots
from crm_tinydb.state import State

Prepare = Callable[[Iterable[tuple[str, str]]], Awaitable[None]]  # before indexes are read
STEP = 64  # rows tested between two looks at the clock
SHARE = 8  # matching rows up to this part of all are sorted: in a walk they may all come last


async def read_page(state: State, query: PageQuery, prepare: Prepare) -> Page:
    """A page; first pages are cached until a row changes, since the same few are read again and again."""
    collection, key = state.collection(query.collection), encode(query)
    if not collection.rows:
        return Page((), None, state.revision, 0 if query.total else None)
    if (known := collection.pages.get(key)) is not None:
        return replace(known, revision=state.revision)
    names = [query.sort, *(name for name, _ in query.filters), *(bound.index for bound in query.bounds)]
    await prepare((query.collection, name) for name in names + [query.search] * bool(query.terms))
    pages = collection.pages
    work = page(collection, query)
    while True:
        try:
            next(work)
        except StopIteration as done:
            slots, total = done.value
            found = paged(collection, query, slots, total, state.revision)
            break
        await asyncio.sleep(0)
    if collection.pages is not pages:  # rows were written after they were tested
        tests = [condition.test for condition in conditions_of(collection, query)]
        met = [each for each in found.documents if all(test(collection.rows[each.id]) for test in tests)]
        return replace(found, documents=tuple(met))
    if query.after is None and not query.terms:
        if len(pages) >= PAGES:
            pages.clear()
        pages[key] = found
    return found


def page(collection: Collection, query: PageQuery) -> Slowly[tuple[list[Slot], int | None]]:
    """The slots of a page in the order of ``query.sort``, plus one if more follow, and the total."""
    conditions = conditions_of(collection, query)
    tests = [condition.test for condition in conditions]
    size, unchanged = len(collection.rows), collection.pages
    if not conditions:
        return (yield from _walk(collection, query, tests)), size
    for condition in conditions:
        if condition.loose:
            yield from condition.gathered()
    narrowest = min(conditions, key=lambda each: each.count)
    # A walk tests about limit * size / count rows; sorting tests each of the count.
    few = narrowest.count * narrowest.count <= 2 * (query.limit + 1) * max(size, 1)
    known = narrowest.count if len(conditions) == 1 and narrowest.exact else None
    if few or (query.total and known is None):
        others = [each.test for each in conditions if each is not narrowest or not each.met]
        ids = yield from narrowest.gathered()
        matching = yield from _matching(collection, ids, lambda: others if collection.pages is unchanged else tests)
        known = len(matching)
        few = few or known * SHARE <= size
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


def _matching(collection: Collection, ids: list[str], left: Callable[[], list[Test]]) -> Slowly[list[str]]:
    """The ids of rows that pass the tests that are left to make."""
    rows, matching, turn = collection.rows, list[str](), Turn()
    for start in range(0, len(ids), STEP):
        if start and turn.over:
            yield
        met = [id_ for id_ in ids[start : start + STEP] if id_ in rows]
        for test in left():
            met = [id_ for id_ in met if test(rows[id_])]
        matching += met
    return matching


def _walk(collection: Collection, query: PageQuery, tests: list[Test]) -> Slowly[list[Slot]]:
    if collection.index(query.sort) is None:
        matching = yield from _matching(collection, list(collection.rows), lambda: tests)
        return (yield from _sorted(collection, query, matching))
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

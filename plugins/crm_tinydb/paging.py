"""Pages of a collection: walk the sort order, or sort the few rows that a filter leaves, whichever is shorter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from crm_core.plugin.query import Page, PageQuery
from crm_core.plugin.unit import IndexValue
from crm_tinydb.collection import Collection
from crm_tinydb.index import LAST, Ranked, Row, Slot, plain, ranked, value_of

Test = Callable[[Row], bool]


def page(collection: Collection, query: PageQuery, revision: int) -> Page:
    """One page in the order of ``query.sort``."""
    tests = _tests(query)
    narrowest = _narrowest(collection, query) if tests else None
    size = len(collection.rows)
    total: int | None = None
    if narrowest is None:
        found = _walk(collection, query, tests)
        total = size
    else:
        expected, ids = narrowest
        # A walk looks at about limit * size / expected rows; sorting looks at each of the expected ones.
        if expected * expected > 2 * (query.limit + 1) * max(size, 1) and not query.total:
            found = _walk(collection, query, tests)
        else:
            rows = collection.rows
            matching = [id_ for id_ in dict.fromkeys(ids()) if all(test(rows[id_]) for test in tests)]
            total = len(matching)
            found = _sorted(collection, query, matching)
    slots = list(islice(found, query.limit + 1))
    more = len(slots) > query.limit
    slots = slots[: query.limit]
    last = slots[-1] if more and slots else None
    return Page(
        documents=collection.documents(slot[2] for slot in slots),
        next=None if last is None else (plain(last[0], last[1]), last[2]),
        revision=revision,
        total=total if query.total else None,
    )


def _tests(query: PageQuery) -> list[Test]:
    tests: list[Test] = [_equal(index, value) for index, value in query.filters]
    tests += [_begins(query.search, word) for word in query.words]
    if query.since is not None:
        tests.append(_from(*query.since))
    return tests


def _equal(index: str, value: IndexValue) -> Test:
    wanted = ranked(value)

    def test(row: Row) -> bool:
        held = value_of(row, index)
        return value in held if isinstance(held, tuple) else ranked(held) == wanted

    return test


def _begins(index: str, word: str) -> Test:
    def test(row: Row) -> bool:
        held = value_of(row, index)
        if isinstance(held, tuple):
            return any(each.startswith(word) for each in held)
        return isinstance(held, str) and held.startswith(word)

    return test


def _from(index: str, value: str) -> Test:
    wanted = ranked(value)

    def test(row: Row) -> bool:
        return ranked(value_of(row, index)) >= wanted

    return test


Candidates = tuple[int, Callable[[], Iterator[str]]]


def _narrowest(collection: Collection, query: PageQuery) -> Candidates:
    """The condition that fewest rows meet: about how many, and their ids."""
    found = [_holders(collection, index, value) for index, value in query.filters]
    found += [_range(collection, query.search, (3, word), (3, word + LAST)) for word in query.words]
    if query.since is not None:
        found.append(_range(collection, query.since[0], ranked(query.since[1]), (5, "")))
    return min(found, key=lambda each: each[0])


def _holders(collection: Collection, name: str, value: IndexValue) -> Candidates:
    index = collection.index(name)
    if index is None:
        return (len(collection.rows) if value is None else 0), lambda: collection.holders(name, value)
    return index.count(ranked(value), ranked(value)), lambda: index.holders(value)


def _range(collection: Collection, name: str, low: Ranked, high: Ranked) -> Candidates:
    index = collection.index(name)
    if index is None:
        return 0, lambda: iter(())
    return index.count(low, high), lambda: (slot[2] for slot in index.ordered.irange((*low, ""), (*high, LAST)))


def _walk(collection: Collection, query: PageQuery, tests: list[Test]) -> Iterator[Slot]:
    index = collection.index(query.sort)
    if index is None:
        yield from _sorted(collection, query, [i for i, row in collection.rows.items() if all(t(row) for t in tests)])
        return
    start = None if query.after is None else (*ranked(query.after[0]), query.after[1])
    if query.descending:
        walk = index.ordered.irange(None, start, inclusive=(True, False), reverse=True)
    else:
        walk = index.ordered.irange(start, None, inclusive=(False, True))
    rows = collection.rows
    for slot in walk:
        row = rows[slot[2]]
        if all(test(row) for test in tests):
            yield slot


def _sorted(collection: Collection, query: PageQuery, ids: list[str]) -> Iterator[Slot]:
    rows = collection.rows
    ordered = sorted(((*ranked(value_of(rows[id_], query.sort)), id_) for id_ in ids), reverse=query.descending)
    if query.after is None:
        return iter(ordered)
    start = (*ranked(query.after[0]), query.after[1])
    return (slot for slot in ordered if (slot < start if query.descending else slot > start))

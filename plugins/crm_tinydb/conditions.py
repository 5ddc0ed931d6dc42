"""The conditions of a page: each tests rows, and names those that may meet it from an index.

What takes long is a generator that yields every so many rows so that the loop can run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from crm_core.plugin.query import Bound, PageQuery, Term
from crm_core.plugin.unit import IndexValue
from crm_tinydb.collection import Collection
from crm_tinydb.index import LAST, NULL, PART, Row, ranked, value_of

T = TypeVar("T")
Test = Callable[[Row], bool]
Slowly = Generator[None, None, T]


class Condition:
    """A condition on rows: a test, how many rows may meet it, and their ids.

    ``exact``: just these do, each once; ``met``: just these do; ``loose``: they may be far fewer than the count, which
    is known once they are gathered.
    """

    def __init__(
        self,
        test: Test,
        count: int,
        ids: Callable[[], Slowly[list[str]]],
        *,
        exact: bool = True,
        met: bool = True,
        loose: bool = False,
    ) -> None:
        self.test, self.count, self.exact, self.met, self.loose = test, count, exact, met, loose
        self._ids = ids
        self._gathered: list[str] | None = None

    def gathered(self) -> Slowly[list[str]]:
        """The ids, each once."""
        if self._gathered is None:
            ids = yield from self._ids()
            self._gathered = ids if self.exact else (yield from _once(ids))
            self.count = len(self._gathered)
        return self._gathered


def conditions_of(collection: Collection, query: PageQuery) -> list[Condition]:
    """The conditions of a query: filters, search terms, comparisons."""
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
    return Condition(test, count, lambda: _all_ids(one.gathered() for one in each), exact=False)


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
        return type(actual) is tuple and (value in actual or (value is None and not actual))

    index = collection.index(name)
    if index is None:
        found = list(collection.rows) if value is None else []
        return Condition(test, len(found), lambda: _as_they_are(found))
    return Condition(test, index.count(wanted, wanted), lambda: index.ids(wanted, wanted))


def _as_they_are(ids: list[str]) -> Slowly[list[str]]:
    return ids
    yield  # makes it a generator


def _none() -> Slowly[list[str]]:
    return _as_they_are([])


def _all_ids(each: Iterable[Slowly[list[str]]]) -> Slowly[list[str]]:
    found: list[str] = []
    for one in each:
        found += yield from one
    return found


def _texts(row: Row, name: str) -> tuple[str, ...]:
    actual = value_of(row, name)
    return actual if isinstance(actual, tuple) else (actual,) if isinstance(actual, str) else ()


def _begins(collection: Collection, name: str, prefix: str) -> Condition:
    def test(row: Row) -> bool:
        for value in _texts(row, name):  # noqa: SIM110 -- a generator takes twice as long
            if value.startswith(prefix):
                return True
        return False

    index = collection.index(name)
    if index is None:
        return Condition(test, 0, _none)
    low, high = (3, prefix), (3, prefix + LAST)
    return Condition(test, index.count(low, high), lambda: index.ids(low, high), exact=False)


def _matches(collection: Collection, name: str, term: Term) -> Condition:
    prefix = term.prefix
    if term.inside is None:
        return _begins(collection, name, prefix or "")
    mark, text = term.inside

    def meets(value: str) -> bool:
        if prefix is not None and value.startswith(prefix):
            return True
        return value.startswith(mark) and value.find(text, len(mark)) >= 0

    def test(row: Row) -> bool:
        return any(map(meets, _texts(row, name)))

    index = collection.index(name)
    if index is None:
        return Condition(test, 0, _none)
    starts = [(mark, text)] if prefix is None else [(prefix, ""), (mark, text)]
    ranges = [((3, start), (3, start + LAST), (len(start), inside)) for start, inside in starts]
    count = sum(index.count(low, high) for low, high, _ in ranges)
    return Condition(test, count, lambda: _all_ids(index.ids(*each) for each in ranges), exact=False, loose=True)


def _within(collection: Collection, bound: Bound) -> Condition:
    wanted, below = ranked(bound.value), bound.comparison in ("lt", "lte")
    inclusive = bound.comparison in ("gte", "lte")
    first, last = (-1, 0), (NULL - 1, LAST)  # of all values but null

    def test(row: Row) -> bool:
        actual = ranked(value_of(row, bound.index))
        if actual[0] == NULL:
            return False
        return (actual == wanted and inclusive) or (actual < wanted if below else actual > wanted)

    index = collection.index(bound.index)
    if index is None:
        return Condition(test, 0, _none)
    low, high = (first, wanted) if below else (wanted, last)
    return Condition(test, index.count(low, high), lambda: index.ids(low, high), exact=inclusive, met=inclusive)


def _once(ids: list[str]) -> Slowly[list[str]]:
    once: dict[str, None] = {}
    for start in range(0, len(ids), PART):
        if start:
            yield
        once.update(dict.fromkeys(ids[start : start + PART]))
    return list(once)

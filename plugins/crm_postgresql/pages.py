"""The SQL of a page of a collection."""

# ruff: noqa: S608 -- the SQL has constants and numbers; every text is bound

from __future__ import annotations

from collections.abc import Iterator

from crm_core.plugin.query import Bound, PageQuery, Term
from crm_core.plugin.unit import IndexValue
from crm_postgresql.keys import LAST, NULL, TEXT, key_of, stored, text_of

_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class PageSQL:
    """The statements of a query for ``crm.page``, and the texts that they name: ``$1`` is the tenant, ``$2[n]`` a text.

    Each condition has two forms: the ids that it finds in ``crm.keys``, and a test of a document by its own keys.
    """

    def __init__(self, query: PageQuery) -> None:
        self._query, self.texts = query, list[str]()
        self._collection, self._sort = self._text(query.collection), self._text(query.sort)
        conditions = list(self._conditions())
        tests = "".join(f" AND {test}" for _, test in conditions)
        self.probes = [ids for ids, _ in conditions]
        self.few = self._few(tests)
        self.walks = list(self._walks(tests))
        self.total = self._total() if query.total else None

    def _text(self, value: str) -> str:
        self.texts.append(value)
        return f"$2[{len(self.texts)}]"

    def _ids(self, index: str, test: str) -> str:
        return (
            f"SELECT f.id FROM crm.keys f WHERE f.tenant = $1 AND f.collection = {self._collection}"
            f" AND f.name = {index} AND {test}"
        )

    def _lacking(self, index: str) -> str:
        """Documents that an earlier version put without an index: they have no value in it."""
        return (
            f"SELECT d.id FROM crm.documents d WHERE crm.lacks($1, {self._collection}, {index}) AND d.tenant = $1"
            f" AND d.collection = {self._collection} AND NOT d.indexes ? {index}"
        )

    def _conditions(self) -> Iterator[tuple[str, str]]:
        for name, values in self._query.filters:
            yield self._filter(self._text(name), values)
        search = self._text(self._query.search)
        for term in self._query.terms:
            test = f"({' OR '.join(self._term(term))})"
            own = f'SELECT value COLLATE "C" AS key FROM jsonb_array_elements_text(d.indexes->{search})'
            yield self._ids(search, test), f"EXISTS (SELECT FROM ({own}) f WHERE {test})"
        for bound in self._query.bounds:
            if bound.index != self._query.sort:
                test = f"f.key < '{NULL}' AND {self._bound('f.key', bound)}"
                yield self._ids(self._text(bound.index), test), self._bound_test(bound)

    @property
    def _ranges(self) -> list[Bound]:
        """The bounds of the index that is sorted by: parts of it are walked."""
        return [bound for bound in self._query.bounds if bound.index == self._query.sort]

    def _filter(self, index: str, values: tuple[IndexValue, ...]) -> tuple[str, str]:
        keys = [key_of(_single(value)) for value in values]
        listed = ", ".join(self._text(stored(key)) for key in keys)
        ids = self._ids(index, f"f.key = ANY (ARRAY[{listed}])")
        whole = ", ".join(self._text(key) for key in keys if key != NULL)
        tests = [f"d.indexes->{index} ?| ARRAY[{whole}]"] if whole else []
        if NULL in keys:
            ids = f"{ids} UNION ALL {self._lacking(index)}"
            tests.append(f"coalesce(d.indexes->{index}->>0, '{NULL}') = '{NULL}'")
        return ids, f"({' OR '.join(tests)})"

    def _term(self, term: Term) -> Iterator[str]:
        if term.prefix is not None:
            start = TEXT + text_of(term.prefix)
            yield f"f.key >= {self._text(start)} AND f.key < {self._text(start + LAST)}"
        if term.inside is not None:
            mark = TEXT + text_of(term.inside[0])
            first, last = self._text(mark), self._text(mark + LAST)
            inside = self._text(text_of(term.inside[1]))
            yield f"f.key >= {first} AND f.key < {last} AND position({inside} IN substr(f.key, {len(mark) + 1})) > 0"

    def _bound(self, key: str, bound: Bound) -> str:
        return f"{key} {_SIGNS[bound.comparison]} {self._text(stored(key_of(_single(bound.value))))}"

    def _bound_test(self, bound: Bound) -> str:
        own = f"jsonb_array_elements_text(d.indexes->{self._text(bound.index)})"
        own = f'SELECT crm.cut(value) COLLATE "C" AS key FROM {own}'
        return f"EXISTS (SELECT FROM ({own}) f WHERE f.key < '{NULL}' AND {self._bound('f.key', bound)})"

    @property
    def _direction(self) -> str:
        return "DESC" if self._query.descending else "ASC"

    def _document(self, id_: str) -> str:
        """A document that is looked up by its id also if the planner expects many."""
        return (
            f"CROSS JOIN LATERAL (SELECT * FROM crm.documents o WHERE o.tenant = $1"
            f" AND o.collection = {self._collection} AND o.id = {id_} OFFSET 0) d"
        )

    def _walks(self, tests: str) -> Iterator[str]:
        """The documents with a value to sort by, in its order, then the others by id: null is last."""
        keys = f"crm.keys s {self._document('s.id')} WHERE s.tenant = $1 AND s.collection = {self._collection}"
        keys += f" AND s.name = {self._sort}"
        if self._query.after is None or self._query.after[0] is not None:
            ranges = "".join(f" AND {self._bound('s.key', each)}" for each in self._ranges)
            yield (
                f"SELECT d.id, d.revision, d.body, s.key FROM {keys} AND s.key < '{NULL}'{ranges}"
                f"{self._following('s.key', 's.id')}{tests} ORDER BY s.key {self._direction}, s.id {self._direction}"
            )
        if self._ranges:
            return
        lacks = f"crm.lacks($1, {self._collection}, {self._sort})"
        yield (
            f"SELECT d.id, d.revision, d.body, s.key FROM {keys} AND s.key = '{NULL}' AND NOT {lacks}"
            f"{self._following_null('s.id')}{tests} ORDER BY s.key {self._direction}, s.id {self._direction}"
        )
        yield (
            f"SELECT d.id, d.revision, d.body, '{NULL}' FROM crm.documents d WHERE {lacks} AND d.tenant = $1"
            f" AND d.collection = {self._collection} AND coalesce(d.indexes->{self._sort}->>0, '{NULL}') = '{NULL}'"
            f"{self._following_null('d.id')}{tests} ORDER BY d.id {self._direction}"
        )

    def _few(self, tests: str) -> str:
        key = f"coalesce(crm.cut(d.indexes->{self._sort}->>0), '{NULL}') COLLATE \"C\""
        tests += "".join(f" AND {self._bound_test(each)}" for each in self._ranges)
        following = ""
        if (after := self._query.after) is not None:
            following = f"d.key = '{NULL}'{self._following_null('d.id')}"
            if after[0] is not None:
                following += f" OR d.key < '{NULL}'{self._following('d.key', 'd.id')}"
            following = f" WHERE {following}"
        return (
            f"SELECT d.id, d.revision, d.body, d.key FROM (SELECT d.id, d.revision, d.body, {key} AS key"
            f" FROM (SELECT DISTINCT unnest($3) AS id) few {self._document('few.id')} WHERE true{tests}) d{following}"
            f" ORDER BY d.key = '{NULL}', d.key {self._direction}, d.id {self._direction}"
        )

    def _following(self, key: str, id_: str) -> str:
        after = self._query.after
        if after is None:
            return ""
        sign = "<" if self._query.descending else ">"
        return f" AND ({key}, {id_}) {sign} ({self._text(stored(key_of(_single(after[0]))))}, {self._text(after[1])})"

    def _following_null(self, id_: str) -> str:
        after = self._query.after
        if after is None or after[0] is not None:
            return ""
        return f" AND {id_} {'<' if self._query.descending else '>'} {self._text(after[1])}"

    def _total(self) -> str:
        """How many documents all conditions find: without any, the number that is counted anyway."""
        sets = list(self.probes)
        sets += [self._ids(self._sort, f"f.key < '{NULL}' AND {self._bound('f.key', each)}") for each in self._ranges]
        if not sets:
            return f"SELECT crm.size($1, {self._collection})"
        if len(sets) == 1:
            return f"SELECT count(DISTINCT x.id) FROM ({sets[0]}) x"
        return f"SELECT count(*) FROM (({') INTERSECT ('.join(sets)})) x"


def _single(value: IndexValue) -> str | int | bool | None:
    return value[0] if isinstance(value, tuple) else value

"""The SQL of a page of a collection."""

# ruff: noqa: S608 -- the SQL has constants and numbers; every text is bound

from __future__ import annotations

from collections.abc import Iterator

from crm_core.plugin.query import Bound, PageQuery, Term
from crm_core.plugin.unit import IndexValue
from crm_postgresql.keys import LAST, NULL, TEXT, key_of, stored, text_of

_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class PageSQL:
    """The statement of a query, with the texts that it names: ``$1`` is the tenant, ``$2[n]`` a text."""

    def __init__(self, query: PageQuery) -> None:
        self._query, self.texts = query, list[str]()
        self._collection, self._sort = self._text(query.collection), self._text(query.sort)
        self._where = "".join(self._conditions())
        self.sql = self._statement()

    def _text(self, value: str) -> str:
        self.texts.append(value)
        return f"$2[{len(self.texts)}]"

    def _keys(self, alias: str, name: str) -> str:
        return (
            f"SELECT FROM crm.keys {alias} WHERE {alias}.tenant = $1 AND {alias}.collection = {self._collection}"
            f" AND {alias}.name = {name} AND {alias}.id = d.id"
        )

    def _statement(self) -> str:
        """First the documents with a value to sort by, in its order, then the others by id: null is last."""
        query, limit = self._query, self._query.limit + 1
        direction = "DESC" if query.descending else "ASC"
        parts = []
        if query.after is None or query.after[0] is not None:
            parts.append(
                "(SELECT d.id, d.revision, d.body, s.key FROM crm.keys s JOIN crm.documents d ON d.tenant = s.tenant"
                f" AND d.collection = s.collection AND d.id = s.id WHERE s.tenant = $1"
                f" AND s.collection = {self._collection} AND s.name = {self._sort} AND s.key < '{NULL}'"
                f"{self._following()}{self._where} ORDER BY s.key {direction}, s.id {direction} LIMIT {limit})"
            )
        parts.append(
            f"(SELECT d.id, d.revision, d.body, '{NULL}' FROM crm.documents d WHERE d.tenant = $1"
            f" AND d.collection = {self._collection} AND NOT EXISTS ({self._keys('n', self._sort)}"
            f" AND n.key < '{NULL}'){self._following_null()}{self._where} ORDER BY d.id {direction} LIMIT {limit})"
        )
        total = "NULL::bigint"
        if query.total:
            total = (
                f"(SELECT count(*) FROM crm.documents d WHERE d.tenant = $1 AND d.collection = {self._collection}"
                f"{self._where})"
            )
        # The second part is not computed if the first fills the page.
        rows = f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS r(id, revision, body, key) LIMIT {limit}"
        return f"SELECT t.total, p.* FROM (SELECT {total} AS total) t LEFT JOIN ({rows}) p ON true"

    def _following(self) -> str:
        after = self._query.after
        if after is None:
            return ""
        sign = "<" if self._query.descending else ">"
        key = self._text(stored(key_of(_single(after[0]))))
        return f" AND (s.key, s.id) {sign} ({key}, {self._text(after[1])})"

    def _following_null(self) -> str:
        after = self._query.after
        if after is None or after[0] is not None:
            return ""
        return f" AND d.id {'<' if self._query.descending else '>'} {self._text(after[1])}"

    def _conditions(self) -> Iterator[str]:
        for name, values in self._query.filters:
            yield f" AND ({' OR '.join(self._filter(name, values))})"
        for term in self._query.terms:
            tests = " OR ".join(self._term(term))
            yield f" AND EXISTS ({self._keys('f', self._text(self._query.search))} AND ({tests}))"
        for bound in self._query.bounds:
            keys, test = self._keys("f", self._text(bound.index)), self._bound(bound)
            yield f" AND EXISTS ({keys} AND f.key < '{NULL}' AND {test})"

    def _filter(self, name: str, values: tuple[IndexValue, ...]) -> Iterator[str]:
        index = self._text(name)
        keys = [self._text(stored(key_of(_single(value)))) for value in values if value is not None]
        if keys:
            yield f"EXISTS ({self._keys('f', index)} AND f.key = ANY (ARRAY[{', '.join(keys)}]))"
        if None in values:
            yield f"NOT EXISTS ({self._keys('f', index)} AND f.key < '{NULL}')"

    def _term(self, term: Term) -> Iterator[str]:
        if term.prefix is not None:
            start = TEXT + text_of(term.prefix)
            yield f"f.key >= {self._text(start)} AND f.key < {self._text(start + LAST)}"
        if term.inside is not None:
            mark = TEXT + text_of(term.inside[0])
            first, last = self._text(mark), self._text(mark + LAST)
            inside = self._text(text_of(term.inside[1]))
            yield f"f.key >= {first} AND f.key < {last} AND position({inside} IN substr(f.key, {len(mark) + 1})) > 0"

    def _bound(self, bound: Bound) -> str:
        return f"f.key {_SIGNS[bound.comparison]} {self._text(stored(key_of(_single(bound.value))))}"


def _single(value: IndexValue) -> str | int | bool | None:
    return value[0] if isinstance(value, tuple) else value

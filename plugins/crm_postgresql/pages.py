"""The SQL of a page of a collection."""

# ruff: noqa: S608 -- the SQL has constants and numbers; every text is bound

from __future__ import annotations

from collections.abc import Iterator

from crm_core.plugin.query import Bound, PageQuery, Term
from crm_core.plugin.unit import IndexValue
from crm_postgresql.keys import LAST, NULL, TEXT, key_of, stored, text_of

_FEW = 4000  # documents that a term finds, or less: they are looked at all
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
        """If a term finds few documents, those in order; else the documents in the order of the sort index."""
        query = self._query
        found, few, parts = "", "false", []
        if query.terms:
            found, few = self._found_by_terms()
            parts.append(self._of_few(few))
        parts += [f"{part} AND NOT {few}{order}" for part, order in self._in_order()]
        total = "NULL::bigint"
        if query.total:
            matching = f"d.tenant = $1 AND d.collection = {self._collection}{self._where}"
            total = f"(SELECT count(*) FROM crm.documents d WHERE {matching})"
            if query.terms:
                of_few = f"(SELECT count(*) FROM few JOIN crm.documents d ON d.id = few.id WHERE {matching})"
                total = f"CASE WHEN {few} THEN {of_few} ELSE {total} END"
        # A later part is not computed if those before it fill the page.
        rows = " UNION ALL ".join(f"({part} LIMIT {query.limit + 1})" for part in parts)
        page = f"SELECT * FROM ({rows}) AS r(id, revision, body, key) LIMIT {query.limit + 1}"
        return f"{found} SELECT t.total, p.* FROM (SELECT {total} AS total) t LEFT JOIN ({page}) p ON true"

    @property
    def _direction(self) -> str:
        return "DESC" if self._query.descending else "ASC"

    def _in_order(self) -> list[tuple[str, str]]:
        """The documents with a value to sort by, in its order, then the others by id: null is last."""
        same, parts = "d.tenant = s.tenant AND d.collection = s.collection AND d.id = s.id", []
        join = f"JOIN crm.documents d ON {same}"
        if self._query.terms:  # many are found: each document is looked up in turn, also without statistics
            join = f"CROSS JOIN LATERAL (SELECT * FROM crm.documents d WHERE {same} OFFSET 0) d"
        if self._query.after is None or self._query.after[0] is not None:
            parts.append(
                (
                    (
                        f"SELECT d.id, d.revision, d.body, s.key FROM crm.keys s {join} WHERE s.tenant = $1"
                        f" AND s.collection = {self._collection} AND s.name = {self._sort} AND s.key < '{NULL}'"
                        f"{self._following('s.key', 's.id')}{self._where}"
                    ),
                    f" ORDER BY s.key {self._direction}, s.id {self._direction}",
                )
            )
        parts.append(
            (
                (
                    f"SELECT d.id, d.revision, d.body, '{NULL}' FROM crm.documents d WHERE d.tenant = $1"
                    f" AND d.collection = {self._collection} AND {_is_null(self._sort)}"
                    f"{self._following_null()}{self._where}"
                ),
                f" ORDER BY d.id {self._direction}",
            )
        )
        return parts

    def _found_by_terms(self) -> tuple[str, str]:
        """``few``, the documents of the first term that finds few, as clauses; and the test for such a term.

        The planner cannot know how many a prefix finds, and an ordered walk past all others costs most for few.
        """
        firsts, few, none_before = [], [], ""
        for at, term in enumerate(self._query.terms):
            firsts.append(
                f"m{at} AS MATERIALIZED (SELECT f.id FROM crm.keys f WHERE f.tenant = $1"
                f" AND f.collection = {self._collection} AND f.name = {self._text(self._query.search)}"
                f" AND ({' OR '.join(self._term(term))}) LIMIT {_FEW + 1})"
            )
            is_few = f"(SELECT count(*) FROM m{at}) <= {_FEW}"
            few.append(f"SELECT id FROM m{at} WHERE {is_few}{none_before}")
            none_before += f" AND NOT {is_few}"
        tests = " OR ".join(f"(SELECT count(*) FROM m{at}) <= {_FEW}" for at in range(len(firsts)))
        chosen = f"few AS MATERIALIZED (SELECT DISTINCT id FROM ({' UNION ALL '.join(few)}) x)"
        return (
            f"WITH {', '.join(firsts)}, {chosen}, chosen AS MATERIALIZED (SELECT {tests} AS few)",
            "(SELECT few FROM chosen)",
        )

    def _of_few(self, few: str) -> str:
        key = f"coalesce(crm.cut(d.indexes->{self._sort}->>0), '{NULL}') COLLATE \"C\""
        following = ""
        if (after := self._query.after) is not None:
            following = f" AND (d.key = '{NULL}'{self._following_null()}"
            if after[0] is not None:
                following += f" OR d.key < '{NULL}'{self._following('d.key', 'd.id')}"
            following += ")"
        return (
            f"SELECT d.id, d.revision, d.body, d.key FROM (SELECT d.id, d.revision, d.body, {key} AS key FROM few"
            f" CROSS JOIN LATERAL (SELECT * FROM crm.documents d WHERE d.tenant = $1"
            f" AND d.collection = {self._collection} AND d.id = few.id OFFSET 0) d"
            f" WHERE true{self._where}) d WHERE {few}{following}"
            f" ORDER BY d.key = '{NULL}', d.key {self._direction}, d.id {self._direction}"
        )

    def _following(self, key: str, id_: str) -> str:
        after = self._query.after
        if after is None:
            return ""
        sign = "<" if self._query.descending else ">"
        last = self._text(stored(key_of(_single(after[0]))))
        return f" AND ({key}, {id_}) {sign} ({last}, {self._text(after[1])})"

    def _following_null(self) -> str:
        after = self._query.after
        if after is None or after[0] is not None:
            return ""
        return f" AND d.id {'<' if self._query.descending else '>'} {self._text(after[1])}"

    def _conditions(self) -> Iterator[str]:
        for name, values in self._query.filters:
            yield f" AND ({' OR '.join(self._filter(name, values))})"
        for term in self._query.terms:
            # Of each document: a look into its own keys, whose cost does not depend on what the planner expects.
            tests = " OR ".join(self._term(term))
            yield (
                f' AND EXISTS (SELECT FROM (SELECT value COLLATE "C" AS key FROM jsonb_array_elements_text('
                f"d.indexes->{self._text(self._query.search)})) f WHERE {tests})"
            )
        for bound in self._query.bounds:
            keys, test = self._keys("f", self._text(bound.index)), self._bound(bound)
            yield f" AND EXISTS ({keys} AND f.key < '{NULL}' AND {test})"

    def _filter(self, name: str, values: tuple[IndexValue, ...]) -> Iterator[str]:
        index = self._text(name)
        keys = [self._text(stored(key_of(_single(value)))) for value in values if value is not None]
        if keys:
            yield f"EXISTS ({self._keys('f', index)} AND f.key = ANY (ARRAY[{', '.join(keys)}]))"
        if None in values:
            yield _is_null(index)

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


def _is_null(index: str) -> str:
    """Whether a document has no value in an index, by its own keys."""
    return f"coalesce(d.indexes->{index}->>0, '{NULL}') = '{NULL}'"


def _single(value: IndexValue) -> str | int | bool | None:
    return value[0] if isinstance(value, tuple) else value

"""List parameters, read into a selection, and a selection as a query of the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from crm_core.errors import InvalidParameter
from crm_core.model.folded_text import folded, one_line
from crm_core.model.text_types import plain_integer
from crm_core.model.times import from_input, to_wire
from crm_core.plugin.query import Bound, Comparison, PageQuery, Term
from crm_core.plugin.record_type import ALWAYS_SORTABLE, LIST_PARAMETERS
from crm_core.plugin.unit import IndexValue
from crm_core.records.search_words import search_terms
from crm_core.records.shape import SEARCH, Shape
from crm_core.workspace.cursors import Cursors

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
Position = tuple[IndexValue, str]
"""Sort value and id of the last row of a page."""

Parameters = Mapping[str, str | tuple[str, ...]]
"""List parameters by name, with every value of those that were sent several times."""

_LAST = "\U0010ffff"
_ORDER_RULES = 2  # a cursor of another order leads to another place
MAX_SEARCH_LENGTH = 200  # characters of `q`
_PAGING = frozenset({"limit", "cursor", "total", "bom"})


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which records, in which order. ``context`` identifies the selection: cursors are bound to it."""

    sort: str
    descending: bool
    filters: tuple[tuple[str, tuple[IndexValue, ...]], ...]
    bounds: tuple[Bound, ...]
    terms: tuple[Term, ...]
    archived: bool
    context: str

    def query(self, shape: Shape, *, limit: int, after: Position | None, total: bool = False) -> PageQuery:
        """The query for one page."""
        return PageQuery(
            collection=shape.archive if self.archived else shape.collection,
            sort=self.sort,
            descending=self.descending,
            filters=self.filters,
            bounds=self.bounds,
            search=SEARCH,
            terms=self.terms,
            after=after,
            limit=limit,
            total=total,
        )


class Paging(msgspec.Struct, frozen=True):
    """The part of a selection."""

    limit: int = DEFAULT_LIMIT
    after: Position | None = None
    total: bool = False


def known_parameters(shape: Shape) -> frozenset[str]:
    """Every parameter of a type's list."""
    return LIST_PARAMETERS.union(shape.filterable, shape.comparisons)


def read_selection(shape: Shape, tenant: str, parameters: Parameters) -> Selection:
    """The selection of known parameters. Raises InvalidParameter."""
    sort = _one(parameters, "sort")
    sort = "created_at" if sort is None else sort
    since = _one(parameters, "updated_since")
    bounds = [] if since is None else [Bound(shape.order_index("updated_at"), "gte", _moment("updated_since", since))]
    filters: list[tuple[str, tuple[IndexValue, ...]]] = []
    chosen = sorted((name, _all(value)) for name, value in parameters.items() if name not in _PAGING)
    for name, values in chosen:
        if name in shape.comparisons:
            bounds += [_bound(shape, name, *shape.comparisons[name], text) for text in values]
        elif name not in LIST_PARAMETERS:
            filters.append((name, tuple(_value(shape, name, name, text) for text in values)))
    return Selection(
        sort=_sort(shape, sort),
        descending=sort.startswith("-"),
        filters=tuple(filters),
        bounds=tuple(bounds),
        terms=_terms(_one(parameters, "q")),
        archived=_flag(parameters, "archived"),
        context=_context(tenant, shape, chosen),
    )


def read_paging(parameters: Parameters, selection: Selection, cursors: Cursors) -> Paging:
    """The requested part of the selection. Raises InvalidParameter, InvalidCursor."""
    cursor = _one(parameters, "cursor")
    return Paging(
        limit=_limit(_one(parameters, "limit")),
        after=None if cursor is None else tuple(cursors.read(selection.context, cursor)),
        total=_flag(parameters, "total"),
    )


def refuse_paging(parameters: Parameters) -> None:
    """Refuse the paging of an export with InvalidParameter. ``limit`` is the size of a page, which it does not have."""
    _limit(_one(parameters, "limit"))
    for name in sorted(_PAGING & parameters.keys() - {"limit", "bom"}):
        raise InvalidParameter(f"An export contains the whole selection. Leave {name} out.", parameter=name)


def _all(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _one(parameters: Parameters, name: str) -> str | None:
    value = parameters.get(name)
    if not isinstance(value, tuple):
        return value
    if len(value) > 1:
        raise InvalidParameter(f"The parameter {name} occurs twice; send it once.", parameter=name)
    return value[0] if value else None


def _flag(parameters: Parameters, name: str) -> bool:
    text = _one(parameters, name)
    if text not in (None, "true", "false"):
        raise InvalidParameter(f"{name} is true or false.", parameter=name)
    return text == "true"


def _context(tenant: str, shape: Shape, chosen: list[tuple[str, tuple[str, ...]]]) -> str:
    return hashlib.sha256(msgspec.json.encode((_ORDER_RULES, tenant, shape.collection, chosen))).hexdigest()


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    number = plain_integer(text, least=1, most=MAX_LIMIT)
    if number is None:
        raise InvalidParameter(f"limit is a whole number from 1 to {MAX_LIMIT}.", parameter="limit")
    return number


def _sort(shape: Shape, text: str) -> str:
    name = text.removeprefix("-")
    if name not in shape.sortable:
        known = ", ".join(shape.sortable)
        raise InvalidParameter(f"sort is one of {known}, with - before it for descending.", parameter="sort")
    return shape.order_index(name)


def _value(shape: Shape, parameter: str, name: str, text: str) -> IndexValue:
    try:
        return shape.filter_value(name, text)
    except ValueError as error:
        raise InvalidParameter(f"{parameter}: {error}", parameter=parameter) from None


def _bound(shape: Shape, parameter: str, name: str, comparison: Comparison, text: str) -> Bound:
    if text == "":
        raise InvalidParameter(f"{parameter} needs a value to compare with.", parameter=parameter)
    if name in ALWAYS_SORTABLE:
        return Bound(shape.order_index(name), comparison, _moment(parameter, text))
    value = _value(shape, parameter, name, text)
    index = shape.order_index(name)
    if index != name:  # case and accents do not count: a value matches all that are written like it
        value = f"{folded(one_line(text))}\0" + (_LAST if comparison in ("gt", "lte") else "")
    return Bound(index, comparison, value)


def _terms(text: str | None) -> tuple[Term, ...]:
    if text is None:
        return ()
    if len(text) > MAX_SEARCH_LENGTH:
        raise InvalidParameter(f"q is up to {MAX_SEARCH_LENGTH} characters.", parameter="q")
    return search_terms(text)


def _moment(name: str, text: str) -> str:
    try:
        return to_wire(from_input(text))
    except ValueError:
        message = f"{name} is a time such as 2026-11-24T02:00:00Z; encode a + as %2B."
        raise InvalidParameter(message, parameter=name) from None

"""List parameters, read into a selection, and a selection as a query of the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from crm_core.errors import InvalidParameter
from crm_core.model.text_types import plain_integer
from crm_core.model.times import from_wire, to_wire
from crm_core.plugin.query import PageQuery
from crm_core.plugin.record_type import LIST_PARAMETERS
from crm_core.plugin.unit import IndexValue
from crm_core.records.search_words import folded
from crm_core.records.shape import WORDS, Shape
from crm_core.workspace.cursors import Cursors

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
Position = tuple[IndexValue, str]
"""Sort value and id of the last row of a page."""

MAX_SEARCH_LENGTH = 200  # characters of `q`
_PAGING = frozenset({"limit", "cursor", "total"})


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which records, in which order. ``context`` identifies the selection: cursors are bound to it."""

    sort: str
    descending: bool
    filters: tuple[tuple[str, IndexValue], ...]
    words: tuple[str, ...]
    since: str | None
    context: str

    def query(self, collection: str, *, limit: int, after: Position | None, total: bool = False) -> PageQuery:
        """The query for one page."""
        return PageQuery(
            collection=collection,
            sort=self.sort,
            descending=self.descending,
            filters=self.filters,
            search=WORDS,
            words=self.words,
            since=None if self.since is None else ("updated_at", self.since),
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
    return LIST_PARAMETERS.union(shape.filterable)


def read_selection(shape: Shape, tenant: str, parameters: Mapping[str, str]) -> Selection:
    """The selection of known parameters. Raises InvalidParameter."""
    sort = parameters.get("sort", "created_at")
    since = parameters.get("updated_since")
    chosen = sorted((name, value) for name, value in parameters.items() if name not in _PAGING)
    return Selection(
        sort=_sort(shape, sort),
        descending=sort.startswith("-"),
        filters=tuple(_filter(shape, name, text) for name, text in chosen if name not in LIST_PARAMETERS),
        words=_words(parameters.get("q")),
        since=None if since is None else _moment(since),
        context=_context(tenant, shape, chosen),
    )


def read_paging(parameters: Mapping[str, str], selection: Selection, cursors: Cursors) -> Paging:
    """The requested part of the selection. Raises InvalidParameter, InvalidCursor."""
    cursor = parameters.get("cursor")
    total = parameters.get("total", "false")
    if total not in ("true", "false"):
        raise InvalidParameter("total is true or false.", parameter="total")
    return Paging(
        limit=_limit(parameters.get("limit")),
        after=None if cursor is None else tuple(cursors.read(selection.context, cursor)),
        total=total == "true",
    )


def refuse_paging(parameters: Mapping[str, str]) -> None:
    """Refuse the paging of an export with InvalidParameter. ``limit`` is the size of a page, which it does not have."""
    _limit(parameters.get("limit"))
    for name in sorted(_PAGING & parameters.keys() - {"limit"}):
        raise InvalidParameter(f"An export contains the whole selection. Leave {name} out.", parameter=name)


def _context(tenant: str, shape: Shape, chosen: list[tuple[str, str]]) -> str:
    return hashlib.sha256(msgspec.json.encode((tenant, shape.collection, chosen))).hexdigest()


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
    return name


def _filter(shape: Shape, name: str, text: str) -> tuple[str, IndexValue]:
    try:
        return name, shape.filter_value(name, text)
    except ValueError as error:
        raise InvalidParameter(f"{name}: {error}", parameter=name) from None


def _words(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    if len(text) > MAX_SEARCH_LENGTH:
        raise InvalidParameter(f"q is up to {MAX_SEARCH_LENGTH} characters.", parameter="q")
    return tuple(dict.fromkeys(folded(text)))


def _moment(text: str) -> str:
    try:
        return to_wire(from_wire(text))
    except (ValueError, OverflowError):
        message = "updated_since is a time such as 2026-11-24T02:00:00Z; encode a + as %2B."
        raise InvalidParameter(message, parameter="updated_since") from None

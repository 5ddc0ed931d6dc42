"""A list as its template needs it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
from markupsafe import Markup, escape

from crm_core.web.pages.layout.parts import Option

NEXT_ROW: Final = "\n"


class Column(msgspec.Struct, frozen=True):
    """A column's head; ``sorted``: ``ascending`` or ``descending`` if the list is sorted by it."""

    label: str
    css: str
    href: str = ""
    sorted: str = ""


class Filter(msgspec.Struct, frozen=True):
    """A filter of the list: a select with options, a picker with a ``shown`` text, else a text field."""

    name: str
    label: str
    value: str
    options: tuple[Option, ...] = ()
    picked: bool = False
    shown: str = ""


class Tab(msgspec.Struct, frozen=True):
    """A view of the list with its address and the number of its records."""

    text: str
    href: str
    current: bool
    count: str


class Mine(NamedTuple):
    """The address that switches the filter by the user on or off, and whether it is on."""

    href: str
    on: bool


class ColumnChoice(NamedTuple):
    """A column that the user may choose."""

    name: str
    label: str
    chosen: bool


class Chip(msgspec.Struct, frozen=True):
    """An active filter and the address without it; ``has_field``: a field of the form shows it as well."""

    text: str
    href: str
    has_field: bool = False


class BulkBar(msgspec.Struct, frozen=True, kw_only=True):
    """The acts for selected records: the members that can be set, and whether they can be archived or restored."""

    path: str
    one: str
    many: str
    acts: tuple[Option, ...]
    archive: bool
    restore: bool


class ListPlace(NamedTuple):
    """A part of the list among the others, as HTML: the links to those before and after, and its address."""

    pager: Markup
    address: Markup


class ListParts(NamedTuple):
    """A list without its rows as HTML: title, attributes of ``main``, what comes before each part that differs, end."""

    title: Markup
    main: Markup
    before_rows: Markup
    before_range: Markup
    before_pager: Markup
    before_back: Markup
    end: Markup

    def around(self, rows: Iterable[str], shown: str, pager: str, address: str) -> str:
        """The list with these rows; ``shown``: which they are."""
        table = f"{self.before_rows}{NEXT_ROW.join(rows)}{self.before_range}{escape(shown)}{self.before_pager}{pager}"
        return f"{table}{self.before_back}{address}{self.end}"

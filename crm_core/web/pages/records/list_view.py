"""A list as its template needs it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from markupsafe import Markup

from crm_core.web.pages.layout.parts import Option, PageLinks


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


class Tab(NamedTuple):
    """A view of the list with its address."""

    text: str
    href: str
    current: bool


class Chip(msgspec.Struct, frozen=True):
    """An active filter and the address without it."""

    text: str
    href: str


class BulkBar(msgspec.Struct, frozen=True, kw_only=True):
    """The acts for selected records: the members that can be set, and whether they can be archived or restored."""

    path: str
    one: str
    many: str
    acts: tuple[Option, ...]
    archive: bool
    restore: bool


class ListHead(msgspec.Struct, frozen=True, kw_only=True):
    """Everything around the rows of a list."""

    module: str
    title: str
    sub: str
    icon: str
    path: str
    here: str
    board: str
    export: str
    create: str
    create_text: str
    search_hint: str
    q: str
    sort: str
    tabs: tuple[Tab, ...]
    filters: tuple[Filter, ...]
    chips: tuple[Chip, ...]
    matches: str
    caption: str
    columns: tuple[Column, ...]
    bulk: BulkBar | None
    empty_title: str
    empty_text: str


class ListParts(NamedTuple):
    """The same as HTML: above the table, its head, the text shown if it has no rows, and the bar of bulk acts."""

    above: Markup
    head: Markup
    nothing: Markup
    bar: Markup


class ListView(NamedTuple):
    """A list for its page. ``query``: the selection that bulk acts send again; None if the user may not change any."""

    module: str
    title: str
    parts: ListParts
    rows: Markup
    range: str
    paging: PageLinks
    query: str | None
    bulk: str
    total: int
    matches: str

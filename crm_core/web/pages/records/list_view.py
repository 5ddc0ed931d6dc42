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


class ListHead(msgspec.Struct, frozen=True, kw_only=True):
    """Everything around the rows of a list. ``path``: it without filters; ``named``: its addresses name the list.

    ``base``: the path of the module; ``query``: the selection that its forms send; ``view``: the saved view that it
    shows; ``choices``: the columns that the user may choose.
    """

    module: str
    title: str
    sub: str
    icon: str
    base: str
    path: str
    query: str
    named: bool
    here: str
    board: str
    export: str
    export_text: str
    create: str
    create_text: str
    import_file: str
    create_named: str
    full: str
    search_hint: str
    q: str
    archived: bool
    sort: str
    sorts: tuple[Option, ...]
    column_names: str
    tabs: tuple[Tab, ...]
    mine: Mine | None
    filters: tuple[Filter, ...]
    chips: tuple[Chip, ...]
    active: int
    savable: bool
    view: str
    total: int
    matches: str
    matching: str
    caption: str
    columns: tuple[Column, ...]
    choices: tuple[ColumnChoice, ...]
    bulk: BulkBar | None
    empty_title: str
    empty_text: str


class ListParts(NamedTuple):
    """The same as HTML: above the table, its head, the text if it has no rows, the bar of bulk acts, and the menus."""

    above: Markup
    head: Markup
    nothing: Markup
    bar: Markup
    menus: Markup


class ListView(NamedTuple):
    """A list for its page."""

    module: str
    title: str
    here: str
    parts: ListParts
    rows: Markup
    range: str
    paging: PageLinks
    selects: bool

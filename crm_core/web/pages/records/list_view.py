"""A list as its template takes it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from markupsafe import Markup

from crm_core.web.pages.layout.parts import Option, PageLinks


class Column(msgspec.Struct, frozen=True):
    """A column's head; ``sorted``: ``ascending`` or ``descending`` where the list is in its order."""

    label: str
    css: str
    href: str = ""
    sorted: str = ""


class Filter(msgspec.Struct, frozen=True):
    """A filter that the list offers; without options it is a text."""

    name: str
    label: str
    value: str
    options: tuple[Option, ...]


class Chip(msgspec.Struct, frozen=True):
    """A filter in force and the address without it."""

    text: str
    href: str


class ListHead(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around the rows of a list."""

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
    filters: tuple[Filter, ...]
    chips: tuple[Chip, ...]
    matches: str
    caption: str
    columns: tuple[Column, ...]
    empty_title: str
    empty_text: str


class ListParts(NamedTuple):
    """The same as HTML: what stands above, the head of the table, and what stands there instead of no rows."""

    above: Markup
    head: Markup
    nothing: Markup


class ListView(NamedTuple):
    """A list for its page."""

    module: str
    title: str
    parts: ListParts
    rows: Markup
    range: str
    paging: PageLinks

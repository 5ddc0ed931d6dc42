"""A list as its template takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from crm_core.web.pages.layout.parts import Option, PageLinks


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head; ``sorted``: ``ascending`` or ``descending`` where the list is in its order."""

    label: str
    css: str
    href: str = ""
    sorted: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that the list offers; without options it is a text."""

    name: str
    label: str
    value: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in force and the address without it."""

    text: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListHead:
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

"""A list as its template takes it."""

from __future__ import annotations

from dataclasses import dataclass

from crm_core.web.pages.fields import Option
from crm_core.web.pages.shown import Cell


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head; ``sorted``: ``ascending`` or ``descending`` where the list is in its order."""

    label: str
    css: str
    href: str = ""
    sorted: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A record of the list; ``sub`` holds what narrow screens have no columns for."""

    href: str
    cells: tuple[Cell, ...]
    sub: str


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
class Paging:
    """Ways to the neighbouring pages, empty where there are none."""

    previous: str
    next: str
    back: str = "Previous"
    forth: str = "Next"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    """A list for its page."""

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
    rows: tuple[Row, ...]
    range: str
    paging: Paging
    empty_title: str
    empty_text: str

"""Rows of lists as HTML, rendered once for all users and cached while nothing in them changes."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from markupsafe import Markup, escape

from crm_core.language import current
from crm_core.model.turns import Turn
from crm_core.plugin.storage import Document
from crm_core.web.pages.layout.fragment_cache import CachedRow
from crm_core.web.pages.records.cells import CellRenderer
from crm_core.web.pages.records.list_columns import css_of

_FOLDED: Final = "p1"
"""The class of columns that narrow screens fold under the name."""
_LONGEST: Final = 16 * 1024
"""Bytes of a record whose row is cached: the cache counts rows, and each has its record as the store sent it."""


References = tuple[tuple[str, str], ...]
"""As a CellRenderer yields them."""


class RowKind(msgspec.Struct, frozen=True, cache_hash=True):
    """How the rows of a list look. ``selects``: with a box to select each; ``ticks``: a flag that a button sets."""

    tenant: str
    language: str
    record_type: str
    columns: tuple[str, ...]
    selects: bool
    ticks: str | None


class Rows:
    """Renders the rows of one list."""

    def __init__(self, cells: CellRenderer, columns: tuple[str, ...], *, selects: bool) -> None:
        context = cells.context
        self._cells = cells
        self._kind = RowKind(context.tenant, current().tag, cells.record_type.NAME, columns, selects, cells.ticks)
        self._minute = int(context.formats.now.timestamp() // 60)
        self._branding = context.branding
        self._cached = context.site.rows
        self._turn = Turn()
        self._known: dict[References, tuple[str | None, ...]] = {}  # the names of references: rows share many

    async def html(self, document: Document) -> Markup:
        """The row of a record."""
        key = (self._kind, document.id)
        cached = self._cached.get(key)
        if (
            cached is not None
            and cached.body == document.body
            and cached.branding is self._branding
            and cached.minute == self._minute
            and await self._names(cached.references) == cached.names
        ):
            return cached.html
        await self._turn.pause()  # reading the page may have taken most of one
        record = msgspec.json.decode(document.body)
        references = tuple(self._cells.references(record, self._kind.columns))
        names = await self._names(references)
        html = await _rendered(self._cells, self._kind.columns, record, selects=self._kind.selects)
        if len(document.body) <= _LONGEST:
            self._cached.add(key, CachedRow(document.body, self._branding, self._minute, references, names, html))
        return html

    async def _names(self, references: References) -> tuple[str | None, ...]:
        names = self._known.get(references)
        if names is None:
            names = self._known[references] = tuple([await self._cells.referenced_name(*one) for one in references])
        return names


async def _rendered(cells: CellRenderer, columns: tuple[str, ...], record: dict[str, Any], *, selects: bool) -> Markup:
    parts, shown, folded = cells.context.site.renderer.parts, [], []
    for name in columns:
        cell, css = await cells.cell(name, record), css_of(cells.record_type, name)
        shown.append((parts.cell(css), cell.html))
        if cell.text and _FOLDED in css.split():
            folded.append(cell.html if cells.is_urgent(name, record) else escape(cell.text))
    href = f"{cells.context.root}/{cells.record_type.NAME}/{record['id']}"
    sub, id_ = Markup(" &middot; ").join(folded[:3]), record["id"] if selects else ""
    return parts.row(href, record["name"], sub, shown, id_)

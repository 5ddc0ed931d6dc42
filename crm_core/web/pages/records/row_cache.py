"""Rows of lists as HTML, rendered once for all users and cached while nothing in them changes."""

from __future__ import annotations

from typing import Any

import msgspec
from markupsafe import Markup, escape

from crm_core.plugin.storage import Document
from crm_core.web.pages.layout.fragment_cache import CachedRow
from crm_core.web.pages.records.cells import CellRenderer

Column = tuple[str, Markup, bool]
"""Name of a member, the opening tag of its cell, and whether narrow screens fold it under the name."""


async def row_html(cells: CellRenderer, columns: tuple[Column, ...], document: Document, *, selects: bool) -> Markup:
    """The row of a record; ``selects``: with a box to select it."""
    context = cells.context
    key = (context.tenant, cells.record_type.NAME, document.id, columns, selects, cells.ticks)
    minute = int(context.formats.now.timestamp() // 60)
    cached = context.site.rows.get(key)
    if (
        cached is not None
        and cached.body == document.body
        and cached.branding is context.branding
        and cached.minute == minute
        and tuple([await cells.referenced_name(*one) for one in cached.references]) == cached.names
    ):
        return cached.html
    record = msgspec.json.decode(document.body)
    references = tuple(cells.references(record, [name for name, _, _ in columns]))
    names = tuple([await cells.referenced_name(*one) for one in references])
    html = await _rendered(cells, columns, record, selects=selects)
    context.site.rows[key] = CachedRow(document.body, context.branding, minute, references, names, html)
    return html


async def _rendered(
    cells: CellRenderer, columns: tuple[Column, ...], record: dict[str, Any], *, selects: bool
) -> Markup:
    shown, folded = [], []
    for name, opening, folds in columns:
        cell = await cells.cell(name, record)
        shown.append((opening, cell.html))
        if folds and cell.text:
            folded.append(cell.html if cells.is_urgent(name, record) else escape(cell.text))
    href = f"{cells.context.root}/{cells.record_type.NAME}/{record['id']}"
    sub, id_ = Markup(" \u00b7 ").join(folded[:3]), record["id"] if selects else ""
    return cells.context.site.renderer.parts.row(href, record["name"], sub, shown, id_)

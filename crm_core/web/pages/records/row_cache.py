"""Rows of lists as HTML, made once for everybody and kept while they say the same."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from markupsafe import Markup

from crm_core.plugin.storage import Document
from crm_core.web.pages.layout.rendering import Renderer

if TYPE_CHECKING:
    from crm_core.web.pages.layout.branding import TenantBranding
    from crm_core.web.pages.records.cells import CellRenderer

_KEPT: Final = 4096

Column = tuple[str, Markup, bool]
"""Name of a member, the opening tag of its cell, and whether narrow screens fold it under the name."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A row and all that it rests on: the record's text, the tenant's look, the minute, and names of others."""

    body: bytes
    look: TenantBranding
    minute: int
    asked: tuple[tuple[str, str], ...]
    names: tuple[str | None, ...]
    html: Markup


class RowCache:
    """The rows of all tenants; the longest unused goes first."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._held: OrderedDict[tuple[str, str, str], _Held] = OrderedDict()

    async def html(self, shower: CellRenderer, columns: list[Column], document: Document) -> Markup:
        """The row of a record."""
        context = shower.context
        key = (context.tenant, shower.record_type.NAME, document.id)
        minute = int(context.formats.now.timestamp() // 60)
        held = self._held.get(key)
        if held is not None and held.body == document.body and held.look is context.look and held.minute == minute:
            names = [await shower.named(*asked) for asked in held.asked]
            if tuple(names) == held.names:
                self._held.move_to_end(key)
                return held.html
        record = msgspec.json.decode(document.body)
        asked = tuple(shower.asks(record, [name for name, _, _ in columns]))
        found = tuple([await shower.named(*one) for one in asked])
        made = _Held(document.body, context.look, minute, asked, found, await self._made(shower, columns, record))
        self._held[key] = made
        self._held.move_to_end(key)
        while len(self._held) > _KEPT:
            self._held.popitem(last=False)
        return made.html

    async def _made(self, shower: CellRenderer, columns: list[Column], record: dict[str, Any]) -> Markup:
        cells, folded = [], []
        for name, opening, folds in columns:
            cell = await shower.cell(name, record)
            cells.append((opening, cell.html))
            if folds and cell.text:
                folded.append(cell.text)
        href = f"{shower.context.root}/{shower.record_type.NAME}/{record['id']}"
        return self._renderer.parts.row(href, record["name"], " \u00b7 ".join(folded[:3]), cells)

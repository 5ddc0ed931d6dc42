from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec

from crm_core.model.recent import Recent
from crm_core.plugin.storage import Document
from crm_core.web.pages.layout.rendering import Renderer
from crm_core.web.pages.records.cells import CellRenderer
from crm_core.web.pages.records.row_cache import Rows
from crm_customers.record_type import Customers


def rows_of(renderer: Renderer) -> tuple[Rows, Any]:
    """The rows of a list of customers, and their cache, in the context of a request."""
    site = SimpleNamespace(rows=Recent(64), renderer=renderer)
    formats = SimpleNamespace(now=datetime(2026, 11, 24, tzinfo=UTC))
    context: Any = SimpleNamespace(tenant="north", root="/t", site=site, formats=formats, branding=object())
    return Rows(CellRenderer(context, Customers()), ("status",), selects=True), site.rows


def customer(number: int, notes: str) -> Document:
    """A customer as it is stored."""
    record = {"id": f"c{number}", "name": f"Customer {number}", "status": "active", "notes": notes}
    return Document("customers", f"c{number}", 1, msgspec.json.encode(record))


def test_the_bytes_of_all_cached_rows_are_limited() -> None:
    """Rows of ordinary records are cached; those of long ones look the same each time, and none of them is cached."""
    rows, cached = rows_of(Renderer("/static"))

    async def shown(notes: str) -> list[str]:
        return [await rows.html(customer(number, notes)) for number in range(50)]

    first, again, long = (asyncio.run(shown(notes)) for notes in ("x" * 300, "x" * 300, "x" * 200_000))
    assert first == again == long
    assert "Customer 49" in first[49]
    assert len(list(cached.items())) == 50
    assert sum(len(row.body) for _, row in cached.items()) < 50_000

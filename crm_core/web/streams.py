"""Lists streamed whole: a JSON object a line, or CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, Final

from crm_core.model.spreadsheet import line
from crm_core.web.answers import encoded

NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"


async def json_lines(rows: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Each row as a line of JSON."""
    async for row in rows:
        yield encoded(row) + b"\n"


async def csv_lines(rows: AsyncIterator[dict[str, Any]], members: Collection[str]) -> AsyncIterator[bytes]:
    """A head and each row as a line of CSV; cells that a spreadsheet would run are neutralised."""
    yield line(members)
    async for row in rows:
        yield line([row[member] for member in members])

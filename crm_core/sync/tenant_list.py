"""The list of all tenants with their health, for the operators of an instance."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import Any, Final

from crm_core.plugin.storage import StorageBackend
from crm_core.sync.health import HealthReports
from crm_core.workspace.cursors import Cursors

STATUSES: Final = ("ok", "stale", "degraded", "disabled")
MOST: Final = 500
_TOGETHER: Final = 8  # tenants whose summaries are read at the same time


class TenantList:
    """Pages of tenants by name. Closed ones are read from what the store wrote when it closed them."""

    def __init__(self, backend: StorageBackend, health: HealthReports, cursors: Cursors) -> None:
        self._backend, self._health, self._cursors = backend, health, cursors

    async def page(
        self, *, status: str | None, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The rows of tenants, of those with a status if it is given, and the next cursor. Raises InvalidCursor."""
        context = f"tenants {status or ''}"
        after = "" if cursor is None else self._cursors.read(context, cursor)
        names = await self._backend.tenants()
        rows: list[dict[str, Any]] = []
        at = bisect_right(names, after)
        while at < len(names) and len(rows) <= limit:
            some = names[at : at + min(_TOGETHER, limit + 1 - len(rows))]
            found = await asyncio.gather(*map(self._health.row, some))
            rows += [row for row in found if row is not None and status in (None, row["status"])]
            at += len(some)
        following = self._cursors.make(context, rows[limit - 1]["tenant"]) if len(rows) > limit else None
        return rows[:limit], following

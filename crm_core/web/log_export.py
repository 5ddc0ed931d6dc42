"""Exports of the sync log as NDJSON and CSV, which end with the credential that began them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from crm_core.model.caller import Caller
from crm_core.model.spreadsheet import BOM, line
from crm_core.model.turns import Turn
from crm_core.services import Services
from crm_core.sync.log import CSV_MEMBERS, MOST, shown
from crm_core.web.answers import encoded
from crm_core.workspace import require_scope

Rows = AsyncIterator[Mapping[str, Any]]


async def exported_log(services: Services, tenant: str, caller: Caller, filters: Mapping[str, str]) -> Rows:
    """The selected entries, as long as the caller may read them: a slow reader may take hours.

    Raises InvalidParameter, Unauthenticated, AccessError.
    """
    read = 0
    async for entry in services.log.every(tenant, filters):
        read += 1
        if read % MOST == 0:
            caller = await services.callers.current(tenant, caller)
            require_scope(await services.views.of(tenant), caller, scope="sync:read", key="sync.view")
        yield shown(entry)


async def as_ndjson(rows: Rows) -> AsyncGenerator[bytes, None]:
    """Each entry as a line of JSON."""
    turn = Turn()
    async for row in rows:
        yield encoded(row) + b"\n"
        await turn.pause()


async def as_csv(rows: Rows, *, bom: bool) -> AsyncGenerator[bytes, None]:
    """A header and each entry as a line of CSV; cells that a spreadsheet would run are neutralised.

    ``bom``: begin with a byte order mark, by which spreadsheets recognize UTF-8.
    """
    yield BOM * bom + line(CSV_MEMBERS)
    turn = Turn()
    async for row in rows:
        yield line([row[member] for member in CSV_MEMBERS])
        await turn.pause()

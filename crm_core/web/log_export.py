"""Exports of the sync log, which end with the credential that began them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from crm_core.model.caller import Caller
from crm_core.services import Services
from crm_core.sync.log import MOST, shown
from crm_core.workspace import require_scope


async def exported_log(
    services: Services, tenant: str, caller: Caller, filters: Mapping[str, str]
) -> AsyncIterator[dict[str, Any]]:
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

"""Log events of ``crm serve`` about stores that accept no writes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from crm_core.errors import CrmError
from crm_core.model.waiting import set_within
from crm_core.plugin.query import StoreState
from crm_core.plugin.storage import StorageBackend
from crm_core.server_log import ServerLog

POLL_SECONDS: Final = 2.0

_log = ServerLog("crm.serve")


async def log_store_alerts(backend: StorageBackend, stop: asyncio.Event, seconds: float = POLL_SECONDS) -> None:
    """Until ``stop``, log when the store, or that of a tenant, fails and when it recovers."""
    alerts = _Alerts(backend)
    while not stop.is_set():
        await alerts.update()
        await set_within(stop, seconds)


class _Alerts:
    """The states that were logged last."""

    def __init__(self, backend: StorageBackend) -> None:
        self._backend = backend
        self._tenants: Mapping[str, StoreState] = {}
        self._unavailable = ""

    async def update(self) -> None:
        try:
            troubled = await self._backend.troubled()
        except CrmError as error:
            if self._unavailable != error.operator_detail:
                self._unavailable = error.operator_detail
                _log.error("storage_unavailable", reason=error.operator_detail)
            return
        except Exception as error:  # noqa: BLE001 -- a backend is a plugin: what it raises must not end this task
            _log.error("plugin_failed", error=type(error).__name__, at="troubled")
            return
        if self._unavailable:
            self._unavailable = ""
            _log.info("storage_recovered")
        for tenant, state in troubled.items():
            if self._tenants.get(tenant) != state:
                _log.error("tenant_troubled", tenant=tenant, mode=state.mode, reason=state.reason)
        for tenant in sorted(self._tenants.keys() - troubled.keys()):
            _log.info("tenant_recovered", tenant=tenant)
        self._tenants = dict(troubled)

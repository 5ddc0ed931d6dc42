"""Log events of ``crm serve`` about stores that accept no writes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from crm_core.errors import CrmError
from crm_core.plugin.query import StoreState
from crm_core.plugin.storage import StorageBackend
from crm_core.server_log import ServerLog

POLL_SECONDS: Final = 2.0

_log = ServerLog("crm.serve")


async def log_store_alerts(backend: StorageBackend, stop: asyncio.Event, seconds: float = POLL_SECONDS) -> None:
    """Until ``stop``, log a line each time a tenant's store stops accepting writes or accepts them again."""
    stopping = asyncio.ensure_future(stop.wait())
    known: Mapping[str, StoreState] = {}
    try:
        while not stop.is_set():
            known = await _changes_logged(backend, known)
            await asyncio.wait((stopping,), timeout=seconds)
    finally:
        stopping.cancel()


async def _changes_logged(backend: StorageBackend, known: Mapping[str, StoreState]) -> Mapping[str, StoreState]:
    try:
        troubled = await backend.troubled()
    except CrmError:
        return known  # the whole backend does not answer: each request reports that, and the next round asks again
    except Exception as error:  # noqa: BLE001 -- a backend is a plugin: what it raises must not end this task
        _log.error("plugin_failed", error=type(error).__name__, at="troubled")
        return known
    for tenant, state in troubled.items():
        if known.get(tenant) != state:
            _log.error("tenant_troubled", tenant=tenant, mode=state.mode, reason=state.reason)
    for tenant in sorted(known.keys() - troubled.keys()):
        _log.info("tenant_recovered", tenant=tenant)
    return dict(troubled)

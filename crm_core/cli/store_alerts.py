"""What ``crm serve`` tells its log of stores that take no writes."""

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


async def tell_troubles(backend: StorageBackend, stop: asyncio.Event, seconds: float = POLL_SECONDS) -> None:
    """Log, until ``stop``, each tenant whose store stops or takes up writing: a line when it changes, no more."""
    stopping = asyncio.ensure_future(stop.wait())
    known: Mapping[str, StoreState] = {}
    try:
        while not stop.is_set():
            known = await _told(backend, known)
            await asyncio.wait((stopping,), timeout=seconds)
    finally:
        stopping.cancel()


async def _told(backend: StorageBackend, known: Mapping[str, StoreState]) -> Mapping[str, StoreState]:
    try:
        troubled = await backend.troubled()
    except CrmError:
        return known  # the backend as a whole is away, which every request tells; it is asked again
    except Exception as error:  # noqa: BLE001 -- a backend is a plugin: what it raises must not end the telling
        _log.error("plugin_failed", error=type(error).__name__, at="troubled")
        return known
    for tenant, state in troubled.items():
        if known.get(tenant) != state:
            _log.error("tenant_troubled", tenant=tenant, mode=state.mode, reason=state.reason)
    for tenant in sorted(known.keys() - troubled.keys()):
        _log.info("tenant_recovered", tenant=tenant)
    return dict(troubled)

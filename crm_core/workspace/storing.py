"""Commits in which an unknown outcome counts as unavailable storage: the caller can only check and retry."""

from __future__ import annotations

from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import Committed, Conflict, OutcomeUnknown, StorageBackend, Unit


async def commit(backend: StorageBackend, tenant: str, unit: Unit) -> Committed | Conflict:
    """Commit a unit. Raises StorageUnavailable, StorageFull."""
    try:
        return await backend.commit(tenant, unit)
    except OutcomeUnknown:
        message = "The connection to the storage broke during the write. Check whether it was done, then repeat it."
        raise StorageUnavailable(message, retry_after=1) from None

"""Writes of access: an outcome that nobody knows is told as storage trouble, as the caller can only try again."""

from __future__ import annotations

from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import Committed, Conflict, OutcomeUnknown, StorageBackend, Unit


async def commit(backend: StorageBackend, tenant: str, unit: Unit) -> Committed | Conflict:
    """Commit a unit. Raises StorageUnavailable, StorageFull."""
    try:
        return await backend.commit(tenant, unit)
    except OutcomeUnknown:
        told = "The connection to the storage broke while it wrote; look whether it was done before you repeat it."
        raise StorageUnavailable(told, retry_after=1) from None

"""Register the storage backend on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm_core.plugin import hookimpl
from crm_postgresql.storage import PostgreSQLBackend

if TYPE_CHECKING:
    from crm_core.plugin.storage import StorageBackend


@hookimpl
def crm_register_storage_backends() -> list[type[StorageBackend]]:
    """Offer ``storage: {backend: postgresql, dsn: ...}``."""
    return [PostgreSQLBackend]

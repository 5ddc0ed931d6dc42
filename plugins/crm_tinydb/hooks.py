"""Register the default storage backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm_core.plugin import hookimpl
from crm_tinydb.storage import TinyDBBackend

if TYPE_CHECKING:
    from crm_core.plugin.storage import StorageBackend


@hookimpl
def crm_register_storage_backends() -> list[type[StorageBackend]]:
    """Offer ``storage: {backend: tinydb}``."""
    return [TinyDBBackend]

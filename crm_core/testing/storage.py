"""The conformance suite of storage backends, which a backend's own tests inherit.

::

    class TestMyStorage(StorageSuite):
        @pytest.fixture
        async def storage(self, tmp_path):
            harness = StorageHarness(MyBackend, StorageContext(tmp_path / "tenants"))
            await harness.start()
            yield harness
            await harness.stop()

A backend that accepts a disk uses its own harness, whose ``power_cut`` forgets unsynced bytes.
"""

from __future__ import annotations

from crm_core.testing.storage_changes import ChangeCases
from crm_core.testing.storage_claims import ClaimCases
from crm_core.testing.storage_copies import CopyCases
from crm_core.testing.storage_documents import DocumentCases
from crm_core.testing.storage_durability import DurabilityCases
from crm_core.testing.storage_harness import StorageHarness, entry, put
from crm_core.testing.storage_log import LogCases
from crm_core.testing.storage_pages import PageCases

__all__ = ["StorageHarness", "StorageSuite", "entry", "put"]


class StorageSuite(DocumentCases, PageCases, ClaimCases, LogCases, ChangeCases, CopyCases, DurabilityCases):
    """Every promise of ``StorageBackend``. A subclass defines a fixture ``storage`` that yields a started harness."""

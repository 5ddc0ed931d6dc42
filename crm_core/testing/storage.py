"""The conformance suite of storage backends, which a backend's own tests inherit.

::

    class TestMyStorage(StorageSuite):
        @pytest.fixture
        async def storage(self, tmp_path):
            harness = StorageHarness(MyBackend, StorageContext(tmp_path / "tenants"), tmp_path)
            await harness.start()
            yield harness
            await harness.stop()

The harness kills the backend, edits its files and lets writes fail. One for a database server overrides ``tamper`` and
``failing_writes``; one for a backend that accepts a disk, ``kill`` and ``power_cut``, which forgets unsynced bytes.
"""

from __future__ import annotations

from crm_core.testing.storage_changes import ChangeCases
from crm_core.testing.storage_claims import ClaimCases
from crm_core.testing.storage_copies import CopyCases
from crm_core.testing.storage_documents import DocumentCases
from crm_core.testing.storage_durability import DurabilityCases
from crm_core.testing.storage_faults import FaultCases
from crm_core.testing.storage_harness import StorageHarness, entry, put
from crm_core.testing.storage_log import LogCases
from crm_core.testing.storage_pages import PageCases

__all__ = ["StorageHarness", "StorageSuite", "entry", "put"]


class StorageSuite(DocumentCases, PageCases, ClaimCases, LogCases, ChangeCases, CopyCases, DurabilityCases, FaultCases):
    """Every promise of ``StorageBackend``. A subclass defines a fixture ``storage`` that yields a started harness."""

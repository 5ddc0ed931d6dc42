"""The storage conformance suite: one class that each backend's tests inherit.

::

    class TestMyStorage(StorageSuite):
        @pytest.fixture
        async def storage(self, tmp_path):
            harness = StorageHarness(MyBackend, StorageContext(tmp_path / "tenants"))
            await harness.start()
            yield harness
            await harness.stop()

A backend that can be given a disk passes a harness of its own whose ``power_cut`` forgets what was not synced.
"""

from __future__ import annotations

from crm_core.testing.storage_claims import ClaimCases
from crm_core.testing.storage_documents import DocumentCases
from crm_core.testing.storage_harness import StorageHarness, entry, put
from crm_core.testing.storage_lives import LifeCases
from crm_core.testing.storage_log import LogCases
from crm_core.testing.storage_pages import PageCases

__all__ = ["StorageHarness", "StorageSuite", "entry", "put"]


class StorageSuite(DocumentCases, PageCases, ClaimCases, LogCases, LifeCases):
    """Every promise of ``StorageBackend``. Subclasses bring a fixture ``storage`` that yields a started harness."""

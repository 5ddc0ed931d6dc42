from __future__ import annotations

import inspect
from collections.abc import Callable

import msgspec
import pytest

from crm_core.plugin.storage import Committed, Conflict, Read, StorageBackend, Unit
from crm_core.testing.disk import FakeDisk
from crm_core.testing.storage import StorageSuite
from crm_tinydb.storage import TinyDBBackend
from tinydb_world import FakeDiskHarness


class TwiceClaimed(TinyDBBackend):
    """A backend that accepts a claim twice."""

    async def commit(self, tenant: str, unit: Unit) -> Committed | Conflict:
        outcome = await super().commit(tenant, unit)
        if isinstance(outcome, Conflict) and outcome.what == "claim":
            return await super().commit(tenant, msgspec.structs.replace(unit, claims=()))
        return outcome


class MutableBodies(TinyDBBackend):
    """A backend that returns a mutable body."""

    async def get(self, tenant: str, collection: str, id: str) -> Read:  # noqa: A002 -- the interface's word
        read = await super().get(tenant, collection, id)
        if read.document is None:
            return read
        body = bytearray(read.document.body)
        return Read(msgspec.structs.replace(read.document, body=body), read.revision)


async def failing(make: Callable[[FakeDisk], StorageBackend], *, syncs: bool = True) -> set[str]:
    """The names of the suite's cases that a backend fails."""
    failed = set()
    for name, case in inspect.getmembers(StorageSuite(), inspect.iscoroutinefunction):
        if not name.startswith("test_") or name == "test_ring_is_durable_soon":
            continue
        harness = FakeDiskHarness(make, syncs=syncs)
        await harness.start()
        try:
            await case(harness)
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 -- a case may fail in any way
            failed.add(name)
        finally:
            await harness.stop()
    return failed


async def test_sound_backend_passes() -> None:
    """The unbroken backend passes every case, or the next three tests would prove nothing."""
    assert await failing(TinyDBBackend) == set()


async def test_missing_fsync_is_found() -> None:
    """A backend that skips fsync fails the power cut cases."""
    assert {"test_survives_power_cut", "test_writes_during_fold"} <= await failing(TinyDBBackend, syncs=False)


async def test_second_claimant_is_found() -> None:
    """A backend that accepts a claim twice fails the claim cases."""
    assert {"test_claim_once", "test_one_claimant_of_many"} <= await failing(TwiceClaimed)


async def test_mutable_record_is_found() -> None:
    """A backend that returns mutable bodies fails the case about them."""
    assert "test_results_are_immutable" in await failing(MutableBodies)

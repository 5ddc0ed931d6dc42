from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crm_core.model.ids import Ids
from crm_core.plugin.storage import StorageBackend, StorageContext
from crm_tinydb.storage import TinyDBBackend


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **amount: float) -> None:
        self.moment += timedelta(**amount)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ids(clock: Clock) -> Ids:
    return Ids(clock)


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[StorageBackend]:
    """The real default store with the tenants ``north`` and ``south``."""
    store = TinyDBBackend()
    await store.open(StorageContext(tmp_path / "tenants"))
    await store.create("north")
    await store.create("south")
    yield store
    await store.close()

"""Fixtures of several modules."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crm_tinydb.storage import TinyDBBackend


@pytest.fixture
async def stores() -> AsyncIterator[list[TinyDBBackend]]:
    """Stores that a test appends, to be closed after it."""
    opened_stores: list[TinyDBBackend] = []
    yield opened_stores
    for store in opened_stores:
        await store.close()

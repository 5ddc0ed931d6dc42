from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from served import ALL, Instance, instance


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Instance]:
    """A running instance whose tenants have every module."""
    async with instance(tmp_path) as running:
        for tenant in ("northwind", "contoso"):
            await running.push("features", {"plan": ALL}, tenant)
        yield running


@pytest.fixture
async def api(live: Instance) -> AsyncIterator[httpx.AsyncClient]:
    """A client of northwind with a token of all record scopes."""
    async with live.client(await live.token()) as client:
        yield client

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import Registry, build_registry
from crm_core.plugin.storage import StorageContext
from crm_tinydb.storage import TinyDBBackend
from records_world import EVERYTHING, World


@pytest.fixture(scope="session")
def registry() -> Registry:
    host = PluginHost()
    host.load_entry_points()
    return build_registry(host)


@pytest.fixture
async def world(tmp_path: Path, registry: Registry) -> AsyncIterator[World]:
    backend = TinyDBBackend()
    await backend.open(StorageContext(tmp_path / "tenants"))
    await backend.create("north")
    await backend.create("south")
    world = World(backend, registry, tmp_path)
    await world.features(EVERYTHING)
    yield world
    await backend.close()

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from crm_core.plugin.storage import StorageContext
from crm_core.services import Services
from crm_core.settings.configuration import ConfigurationOnDemand
from crm_core.settings.installation import install
from crm_core.sync.section_facts import digest_of
from sync_world import KEY, SECRET, Clock, Faulty, World

ROSTER = "tenants: {{northwind: {{keys: [{{version: 2, secret: 'hex:{key}'{more}}}]{tenant}}}}}\n"
SETTINGS = "instance: eu1\ntenants_dir: ../tenants\nsecret_key: {secrets}\nsync: {{skew_seconds: {skew}{sync}}}\n"
Worlds = Callable[..., Awaitable[World]]


@pytest.fixture
async def worlds(tmp_path: Path) -> AsyncIterator[Worlds]:
    """Makes worlds over one folder, one after the other, as restarts do."""
    clock, backends, serial = Clock(), list[Faulty](), count(1)
    config = tmp_path / "config"
    config.mkdir()

    async def make(
        *,
        skew: int = 300,
        secrets: tuple[str, ...] = (SECRET,),
        plugin: str = "",
        sync: str = "",
        key: str = "",
        tenant: str = "",
    ) -> World:
        while backends:
            await backends.pop().close()
        (config / "instance.yaml").write_text(
            SETTINGS.format(secrets=list(secrets), skew=skew, sync=f", {sync}" if sync else "")
        )
        if plugin:
            (tmp_path / "lone").mkdir(exist_ok=True)
            (tmp_path / "lone" / "lone.py").write_text(plugin)
            with (config / "instance.yaml").open("a") as file:
                file.write("plugins: {folders: [../lone]}\n")
        (config / "keys.yaml").write_text(ROSTER.format(key=KEY.hex(), more=key, tenant=tenant))
        installation = install(config, {})
        backend = Faulty()
        services = Services(installation, backend, ConfigurationOnDemand(installation, clock), clock)
        context = StorageContext(installation.settings.tenants_dir, digest=digest_of(services.registry.calls))
        await backend.open(context)
        backends.append(backend)
        if not await backend.has("northwind"):
            await backend.create("northwind")
        return World(services, backend, clock, serial)

    yield make
    while backends:
        await backends.pop().close()


@pytest.fixture
async def world(worlds: Worlds) -> World:
    """A world with default settings."""
    return await worlds()

"""Records that one process archives and restores while another reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from crm_core.plugin.host import PluginHost
from crm_core.plugin.registry import build_registry
from crm_core.plugin.storage import StorageContext
from crm_core.records.feed import FeedQuery
from crm_core.records.preconditions import UNCONDITIONAL
from crm_postgresql.storage import PostgreSQLBackend
from postgresql_server import Server
from records_world import EVERYTHING, TOKEN, World, read

_numbers = count(1)


@pytest.fixture
async def worlds(postgresql: Server, tmp_path: Path) -> AsyncIterator[tuple[World, World]]:
    """Two processes with the tenant north."""
    host = PluginHost()
    host.load_entry_points()
    context = StorageContext(tmp_path, {"dsn": postgresql.migrated, "pool": 3}, instance=f"moves{next(_numbers)}")
    made = []
    for _ in range(2):
        backend = PostgreSQLBackend()
        await backend.open(context)
        made.append(World(backend, build_registry(host), tmp_path))
    await made[0].backend.create("north")
    await made[0].features(EVERYTHING)
    yield made[0], made[1]
    for world in made:
        await world.backend.close()


async def test_a_record_that_moves_is_never_missed(worlds: tuple[World, World]) -> None:
    """Archived and restored again and again by another process, it has a detail, a name and its place in the feed."""
    mover, reader = worlds
    begin = (await reader.records.feed.read("north", TOKEN, FeedQuery(after=None))).next
    made = await mover.create(name="Ada")

    async def move() -> None:
        while True:
            for step in (mover.records.archive.archive, mover.records.archive.restore):
                await step(mover.access(), made["id"], UNCONDITIONAL)

    moving = asyncio.create_task(move())
    try:
        for _ in range(150):
            assert read((await reader.records.reads.detail(reader.access(), made["id"])).body)["name"] == "Ada"
            assert await reader.records.name_of("north", "customers", made["id"]) == "Ada"
            page = await reader.records.feed.read("north", TOKEN, FeedQuery(after=begin, limit=1, records=True))
            assert read(page.items[0])["record"] is not None
    finally:
        moving.cancel()
        await asyncio.wait({moving})

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import pytest

from crm_core.errors import InsufficientScope, NotFound, RecordArchived
from crm_core.model.caller import Caller
from crm_core.plugin.registry import Registry
from crm_core.plugin.storage import StorageBackend, StorageContext
from crm_core.records.distinct import DISTINCT
from crm_core.records.preconditions import UNCONDITIONAL
from crm_postgresql.storage import PostgreSQLBackend
from crm_tinydb.storage import TinyDBBackend
from records_world import EVERYTHING, READER, SCOPES, World

ERASER = Caller(kind="token", id="t9", name="e", revision=1, scopes=SCOPES | {"customers:erase", "deals:erase"})

_numbers = count(1)


@pytest.fixture(params=["tinydb", "postgresql"])
async def opened(
    request: pytest.FixtureRequest, registry: Registry, tmp_path: Path
) -> AsyncIterator[Callable[[], Awaitable[World]]]:
    """Open the same store again and again: the one before is closed first."""
    options, instance = {}, f"distinct{next(_numbers)}"
    if request.param == "postgresql":
        options = {"dsn": request.getfixturevalue("postgresql").migrated, "pool": 3}

    async with AsyncExitStack() as stack:

        async def again() -> World:
            await stack.aclose()
            backend: StorageBackend = PostgreSQLBackend() if options else TinyDBBackend()
            await backend.open(StorageContext(tmp_path / "tenants", options, instance=instance))
            stack.push_async_callback(backend.close)
            return World(backend, registry, tmp_path)

        yield again


@pytest.fixture
async def world(opened: Callable[[], Awaitable[World]]) -> World:
    """Two tenants on each backend."""
    world = await opened()
    await world.backend.create("north")
    await world.backend.create("south")
    await world.features(EVERYTHING)
    return world


async def made(world: World, count: int) -> list[str]:
    """The ids of so many new customers."""
    return [(await world.create(name=f"Ada {number}"))["id"] for number in range(count)]


async def stored(world: World) -> set[frozenset[str]]:
    """The pairs in the store."""
    return {frozenset(document.id.split(":")) async for document in world.backend.documents("north", DISTINCT)}


async def test_a_pair_is_remembered_once_in_either_order(world: World) -> None:
    """It is one document of its tenant, however often it is added; no record and no change log changes."""
    one, other, third = await made(world, 3)
    before = (await world.backend.changes("north", None)).newest
    for pair in ((one, other), (other, one), (one, other)):
        await world.records.distinct.add(world.access(), *pair)
    assert await stored(world) == {frozenset((one, other))}
    assert await world.records.distinct.has("north", other, one)
    assert not await world.records.distinct.has("north", one, third)
    assert not await world.records.distinct.has("south", one, other)
    assert (await world.backend.changes("north", None)).newest == before


async def test_only_live_records_are_set_apart_with_the_right_to_update(world: World) -> None:
    """One that is unknown, archived, of another type or the same is refused; so is who may only read."""
    one, other = await made(world, 2)
    add = world.records.distinct.add
    with pytest.raises(InsufficientScope):
        await add(world.access(caller=READER), one, other)
    for wrong in ("x", one):
        with pytest.raises(NotFound):
            await add(world.access(), one, wrong)
    with pytest.raises(NotFound):
        await add(world.access("deals"), one, other)
    await world.records.archive.archive(world.access(), other, UNCONDITIONAL)
    for pair in ((one, other), (other, one)):
        with pytest.raises(RecordArchived):
            await add(world.access(), *pair)
    assert await stored(world) == set()


async def test_an_erase_removes_the_pairs_of_a_record(world: World) -> None:
    """Nothing that names it is left, whichever of the two it was and also if it was archived; other pairs stay."""
    one, other, third = await made(world, 3)
    for pair in ((one, other), (other, third), (third, one)):
        await world.records.distinct.add(world.access(), *pair)
    await world.records.archive.archive(world.access(), other, UNCONDITIONAL)
    assert len(await stored(world)) == 3
    await world.records.erasure.erase(world.access(caller=ERASER), other, UNCONDITIONAL, cascade=False)
    assert await stored(world) == {frozenset((one, third))}
    await world.records.erasure.erase(world.access(caller=ERASER), third, UNCONDITIONAL, cascade=False)
    assert await stored(world) == set()


async def test_an_erase_leaves_no_pair_that_is_added_meanwhile(world: World) -> None:
    """Erases and additions at the same time end without a pair of an erased record."""
    access, eraser = world.access(), world.access(caller=ERASER)
    for _ in range(10):
        one, other = await made(world, 2)
        added, erased = world.records.distinct.add(access, one, other), world.records.erasure.erase
        await asyncio.gather(added, erased(eraser, other, UNCONDITIONAL, cascade=False), return_exceptions=True)
        assert other not in await world.ids()
        assert not [pair for pair in await stored(world) if other in pair]


async def test_a_pair_is_forgotten_in_either_order(world: World) -> None:
    """Both records then name the others that are left; a pair that is none is forgotten without an error."""
    one, other, third = await made(world, 3)
    distinct, access = world.records.distinct, world.access()
    for pair in ((one, other), (third, one)):
        await distinct.add(access, *pair)
    assert set(await distinct.others("north", one, 20)) == {other, third}
    assert len(await distinct.others("north", one, 1)) == 1
    before = (await world.backend.changes("north", None)).newest
    for pair in ((other, one), (one, other)):
        await distinct.remove(access, *pair)
    assert await stored(world) == {frozenset((one, third))}
    assert await distinct.others("north", one, 20) == [third]
    assert await distinct.others("north", other, 20) == []
    assert (await world.backend.changes("north", None)).newest == before
    await distinct.add(access, one, other)
    assert await distinct.has("north", one, other)


async def test_forgetting_needs_what_remembering_needs(world: World) -> None:
    """Who may only read forgets no pair, and no one forgets that of an archived record."""
    one, other = await made(world, 2)
    await world.records.distinct.add(world.access(), one, other)
    remove = world.records.distinct.remove
    with pytest.raises(InsufficientScope):
        await remove(world.access(caller=READER), one, other)
    for wrong in ("x", one):
        with pytest.raises(NotFound):
            await remove(world.access(), one, wrong)
    with pytest.raises(NotFound):
        await remove(world.access("deals"), one, other)
    await world.records.archive.archive(world.access(), other, UNCONDITIONAL)
    with pytest.raises(RecordArchived):
        await remove(world.access(), one, other)
    assert len(await stored(world)) == 1


async def test_pairs_survive_a_restart(opened: Callable[[], Awaitable[World]], world: World) -> None:
    """They are read from the store again."""
    one, other = await made(world, 2)
    await world.records.distinct.add(world.access(), one, other)
    assert await (await opened()).records.distinct.has("north", other, one)

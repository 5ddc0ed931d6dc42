from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from crm_core.errors import InsufficientScope
from crm_core.model.caller import Caller
from crm_core.plugin.storage import Put, Unit
from crm_core.records import log_reader
from crm_core.records.preconditions import UNCONDITIONAL
from records_world import SCOPES, World

FEW = Caller(kind="token", id="t3", name="few", revision=1, scopes=frozenset({"customers:read"}))

ERASER = Caller(kind="token", id="t4", name="eraser", revision=1, scopes=SCOPES | {"deals:erase"})


async def amounts(world: World) -> dict[str, Decimal | None]:
    """The amounts of all deals by id."""
    access = world.access("deals")
    value = world.records.figures.type_of(access.shape).value("amount")
    return {row.id: value(row) for row in await world.records.figures.rows(access)}


async def deal(world: World, **members: Any) -> str:
    customer = await world.create()
    return str((await world.create("deals", customer_id=customer["id"], **members))["id"])


async def update(world: World, id_: str, **members: Any) -> None:
    await world.records.writes.update(world.access("deals"), id_, members, UNCONDITIONAL)


async def test_rows_follow_every_kind_of_change(world: World) -> None:
    """The rows have the records as they are after creating, updating, archiving, restoring and erasing."""
    first = await deal(world, amount="10.50")
    assert await amounts(world) == {first: Decimal("10.50")}
    second = await deal(world, amount="5")
    await update(world, first, amount=None)
    assert await amounts(world) == {first: None, second: Decimal(5)}
    await world.records.archive.archive(world.access("deals"), second, UNCONDITIONAL)
    assert await amounts(world) == {first: None}
    everything = await world.records.figures.rows(world.access("deals"), archived=True)
    assert {row.id for row in everything} == {first, second}
    await world.records.archive.restore(world.access("deals"), second, UNCONDITIONAL)
    assert await amounts(world) == {first: None, second: Decimal(5)}
    await world.records.archive.archive(world.access("deals"), second, UNCONDITIONAL)
    await world.records.erasure.erase(world.access("deals", ERASER), second, UNCONDITIONAL, cascade=False)
    assert {row.id for row in await world.records.figures.rows(world.access("deals"), archived=True)} == {first}


@pytest.mark.parametrize("reads", ["get", "changes"])
async def test_a_read_that_breaks_off_loses_no_change(
    world: World, monkeypatch: pytest.MonkeyPatch, reads: str
) -> None:
    """A client that leaves, or storage that fails, while changes are followed: the next reader sees all of them."""
    monkeypatch.setattr(log_reader, "_BATCH", 1)
    ids = [await deal(world, amount="1") for _ in range(2)]
    await amounts(world)
    for id_ in ids:
        await update(world, id_, amount="2")
    read, left = getattr(world.backend, reads), iter((True, False))

    async def breaking_off(*arguments: Any) -> Any:
        if next(left):
            return await read(*arguments)
        raise asyncio.CancelledError

    monkeypatch.setattr(world.backend, reads, breaking_off)
    with pytest.raises(asyncio.CancelledError):
        await amounts(world)
    monkeypatch.undo()
    assert await amounts(world) == dict.fromkeys(ids, Decimal(2))


async def test_unchanged_rows_are_not_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first time only what the change log names is read; nothing is if nothing changed."""
    for number in range(3):
        await deal(world, amount=str(number))
    await amounts(world)
    read: list[str] = []
    get, scan = world.backend.get, world.backend.scan

    async def getting(tenant: str, collection: str, id_: str) -> Any:
        read.append(collection)
        return await get(tenant, collection, id_)

    def scanning(tenant: str, collection: str) -> Any:
        read.append("scan")
        return scan(tenant, collection)

    monkeypatch.setattr(world.backend, "get", getting)
    monkeypatch.setattr(world.backend, "scan", scanning)
    before = await amounts(world)
    assert read == []
    await update(world, next(iter(before)), amount="7")
    read.clear()
    assert Decimal(7) in (await amounts(world)).values()
    assert read == ["records:deals"]


async def test_rows_are_read_again_when_the_log_does_not_continue(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who missed more entries than are worth reading starts over."""
    first = await deal(world, amount="1")
    await amounts(world)
    monkeypatch.setattr(log_reader, "_MOST", 1)
    await update(world, first, amount="2")
    await update(world, first, amount="3")
    assert await amounts(world) == {first: Decimal(3)}


async def test_a_value_has_been_there_since_the_change_that_set_it(world: World) -> None:
    """The moment is that of the newest change to the member; none for a value from the beginning."""
    moved, entered = await deal(world), await deal(world, stage="won")
    world.clock.forward(days=1)
    await update(world, moved, stage="won")
    at = world.clock.moment.strftime("%Y-%m-%dT%H")
    world.clock.forward(days=1)
    await update(world, moved, name="Later")
    await update(world, entered, name="Later")
    access = world.access("deals")
    found = await world.records.figures.since(access, await world.records.figures.rows(access), "stage")
    assert found[entered] is None
    assert (found[moved] or "").startswith(at)
    await update(world, moved, stage="lost")
    again = await world.records.figures.since(access, await world.records.figures.rows(access), "stage")
    assert (again[moved] or "") > (found[moved] or "")


async def test_rows_need_the_right_to_view(world: World) -> None:
    """A caller without the right to view a type gets no rows of it."""
    await deal(world)
    with pytest.raises(InsufficientScope):
        await world.records.figures.rows(world.access("deals", FEW))


async def test_rows_belong_to_one_tenant(world: World) -> None:
    """The rows of one tenant never contain a record of another."""
    await deal(world)
    await world.features({"plan": {"code": "all", "name": "All", "features": ["customers.*", "deals.*"]}}, "south")
    assert await world.records.figures.rows(world.access("deals", tenant="south")) == ()


async def test_a_record_that_its_type_cannot_read_is_left_out(world: World) -> None:
    """A row that does not fit its type, as after an update of a plugin, stops no sum."""
    good = await deal(world, amount="4")
    query = world.backend.documents("north", "records:deals")
    (document,) = [one async for one in query]
    broken = document.body.replace(b'"amount":"4"', b'"amount":["4"]').replace(good.encode(), b"0" * 36)
    put = world.access("deals").shape
    assert b'["4"]' in broken
    indexes = {":created": "2026-01-01T00:00:00.000Z", ":updated": "2026-01-01T00:00:00.000Z"}
    await world.backend.commit("north", Unit(now=1, puts=(Put(put.collection, "0" * 36, broken, indexes),)))
    assert await amounts(world) == {good: Decimal(4)}

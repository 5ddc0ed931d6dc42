from __future__ import annotations

from typing import Any

import pytest

from crm_core.errors import (
    InsufficientScope,
    InvalidRecord,
    LimitReached,
    NotFound,
    RecordArchived,
    RevisionMismatch,
    SubscriptionSuspended,
)
from crm_core.records.batch import Batch
from crm_core.records.preconditions import UNCONDITIONAL, Preconditions
from records_world import EVERYTHING, READER, World, read


async def archive(world: World, id_: str, if_match: str | None = None) -> None:
    await world.records.archive.archive(world.access(), id_, Preconditions(if_match))


async def restore(world: World, id_: str, if_match: str | None = None) -> dict[str, Any]:
    return read((await world.records.archive.restore(world.access(), id_, Preconditions(if_match))).body)


async def detail(world: World, id_: str) -> dict[str, Any]:
    return read((await world.records.reads.detail(world.access(), id_)).body)


async def test_an_archived_record_is_in_no_list(world: World) -> None:
    """It leaves list, search, count and total; `archived=true` lists only it, and its detail says when."""
    made, other = await world.create(name="Ada"), await world.create(name="Bob")
    world.clock.forward(seconds=1)
    await archive(world, made["id"])
    for parameters in ({}, {"q": "ada"}, {"name": "ada"}):
        assert made["id"] not in [each["id"] for each in (await world.list(**parameters))["items"]]
    assert (await world.list(total="true"))["total"] == await world.records.count("north", "customers") == 1
    found = await world.list(archived="true", q="ada", total="true")
    assert [each["id"] for each in found["items"]] == [made["id"]]
    shown = await detail(world, made["id"])
    assert found["items"] == [shown]
    assert (shown["revision"], shown["archived_at"], shown["updated_at"]) == (
        2,
        shown["updated_at"],
        shown["archived_at"],
    )
    assert {**shown, "revision": 1, "archived_at": None, "updated_at": made["updated_at"]} == made
    assert (await world.records.name_of("north", "customers", made["id"])) == "Ada"
    assert other["archived_at"] is None


async def test_a_restored_record_is_as_before(world: World) -> None:
    """Restoring counts as a revision, and the record can be changed again; both do nothing a second time."""
    made = await world.create(name="Ada", external_id="x-1")
    seq = (await world.backend.view("north", None)).seq
    assert await restore(world, made["id"]) == made
    await archive(world, made["id"])
    await archive(world, made["id"])
    restored = await restore(world, made["id"])
    assert {**restored, "revision": 1, "updated_at": made["updated_at"]} == made
    assert (await world.backend.view("north", None)).seq == seq + 2
    changed = await world.records.writes.update(world.access(), made["id"], {"name": "B"}, Preconditions('"3"'))
    assert changed.revision == (await world.records.reads.detail(world.access(), made["id"])).revision == 4


async def test_an_archived_record_takes_no_change(world: World) -> None:
    """PATCH, PUT, POST and batch items are refused with its id, and nothing changes."""
    made = await world.create(name="Ada", external_id="x-1")
    await archive(world, made["id"])
    writes = world.records.writes
    access = world.access()
    for attempt in (
        lambda: writes.update(access, made["id"], {"name": "B"}, UNCONDITIONAL),
        lambda: writes.put(access, "x-1", {"name": "B"}, UNCONDITIONAL),
        lambda: writes.create(access, {"name": "B", "external_id": "x-1"}, None),
    ):
        with pytest.raises(RecordArchived) as refused:
            await attempt()
        assert refused.value.evidence["id"] == made["id"]
    items = [{"external_id": "x-1", "name": "B"}, {"id": made["id"], "name": "B"}]
    for item in items:
        batch = Batch(
            data={"items": [item, {"name": "C"}]}, atomic=False, request_id="r", instance="eu1", idempotent=None
        )
        results = read((await world.records.batches.run(access, batch)).body)["results"]
        assert [each["status"] for each in results] == [409, 201]
        assert (results[0]["problem"]["code"], results[0]["problem"]["id"]) == ("record_archived", made["id"])
    batch = Batch(
        data={"items": [{"name": "C"}, items[0]]}, atomic=True, request_id="r", instance="eu1", idempotent=None
    )
    with pytest.raises(RecordArchived) as refused:
        await world.records.batches.run(access, batch)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/items/1", "record_archived")]
    assert (await detail(world, made["id"]))["name"] == "Ada"


async def test_references_stay_and_none_are_new(world: World) -> None:
    """A deal keeps its archived customer and can be changed; another may not refer to it."""
    customer = (await world.create())["id"]
    deal = await world.create("deals", customer_id=customer)
    await archive(world, customer)
    changed = await world.records.writes.update(world.access("deals"), deal["id"], {"name": "B"}, UNCONDITIONAL)
    assert read(changed.body)["customer_id"] == customer
    with pytest.raises(InvalidRecord) as refused:
        await world.create("deals", customer_id=customer)
    assert [finding.pointer for finding in refused.value.errors] == ["/customer_id"]


async def test_limits_count_live_records(world: World) -> None:
    """Archiving makes room; a restore past the limit is refused and changes nothing."""
    await world.features({**EVERYTHING, "limits": {"customers": 1}})
    first = await world.create(name="A")
    await archive(world, first["id"])
    await world.create(name="B")
    with pytest.raises(LimitReached):
        await restore(world, first["id"])
    assert (await detail(world, first["id"]))["revision"] == 2


async def test_archiving_is_refused_like_a_change(world: World) -> None:
    """For another revision, a lacking right, an unknown id and a suspended subscription."""
    made = await world.create()
    for move in (archive, restore):
        with pytest.raises(RevisionMismatch):
            await move(world, made["id"], '"2"')
        with pytest.raises(NotFound):
            await move(world, "01900000-0000-7000-8000-000000000000")
    with pytest.raises(InsufficientScope):
        await world.records.archive.archive(world.access(caller=READER), made["id"], UNCONDITIONAL)
    await world.features({**EVERYTHING, "subscription": {"state": "suspended"}})
    with pytest.raises(SubscriptionSuspended):
        await archive(world, made["id"])
    assert (await detail(world, made["id"]))["archived_at"] is None


async def test_an_archived_record_survives_a_restart(world: World) -> None:
    """It is archived in the files too, with its revision."""
    made = await world.create(name="Ada")
    await archive(world, made["id"])
    before = await detail(world, made["id"])
    await world.backend.fold("north")
    assert await detail(world, made["id"]) == before
    assert (await restore(world, made["id"]))["revision"] == 3

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crm_core.errors import InsufficientScope, InvalidRecord, LimitReached, RevisionMismatch
from crm_core.records.batch import Batch
from records_world import EVERYTHING, READER, TOKEN, World, read


async def run(world: World, data: Any, *, atomic: bool = False, caller: Any = TOKEN) -> list[dict[str, Any]]:
    batch = Batch(data=data, atomic=atomic, request_id="r1", instance="eu1", idempotent=None)
    written = await world.records.batches.run(world.access(caller=caller), batch)
    results: list[dict[str, Any]] = read(written.body)["results"]
    return results


async def test_a_batch_is_one_durable_unit(world: World) -> None:
    """Created, changed and unchanged items are in one commit, and each change is an event."""
    first = await world.create(name="A", external_id="x-1")
    await world.create(name="B", external_id="x-2")
    page = await world.backend.changes("north", None)
    items = [{"name": "A2", "external_id": "x-1"}, {"name": "B", "external_id": "x-2"}, {"name": "C"}]
    results = await run(world, {"items": items})
    assert [(result["status"], result["revision"]) for result in results] == [(200, 2), (200, 1), (201, 1)]
    assert results[0]["id"] == first["id"]
    after = await world.backend.changes("north", page.newest)
    assert after.seq == page.seq + 1
    assert after.entries is not None
    assert [each.entry.id for each in after.entries] == [results[0]["id"], results[2]["id"]]


async def test_a_refused_item_stops_no_other(world: World) -> None:
    """Its result is the problem, with pointers into the batch as it was sent."""
    results = await run(world, {"items": [{"name": ""}, {"name": "A"}, {"name": "B", "revision": 2}, None]})
    assert [result["status"] for result in results] == [422, 201, 422, 422]
    pointers = [[e["pointer"] for e in r["problem"]["errors"]] for r in results if "problem" in r]
    assert pointers == [["/items/0/name"], ["/items/2/revision"], ["/items/3"]]
    assert results[0]["problem"]["request_id"] == "r1"


async def test_an_id_names_the_record_of_an_item(world: World) -> None:
    """It wins over the external id; one that is no record's is refused with its pointer."""
    made = await world.create(name="A", external_id="x-1")
    await world.create(name="B", external_id="x-2")
    items = [
        {"id": made["id"], "external_id": "x-3"},
        {"id": "01900000-0000-7000-8000-000000000000", "name": "C"},
        {"id": 5, "name": "D"},
        {"id": None, "if_revision": None, "name": "E"},
    ]
    results = await run(world, {"items": items})
    assert [result["status"] for result in results] == [200, 404, 422, 201]
    assert (results[0]["id"], results[0]["revision"]) == (made["id"], 2)
    assert [each["problem"]["errors"][0]["pointer"] for each in results[1:3]] == ["/items/1/id", "/items/2/id"]
    results = await run(world, {"items": [{"id": made["id"], "external_id": "x-2"}]})
    assert (results[0]["status"], results[0]["problem"]["code"]) == (409, "external_id_taken")


async def test_two_names_of_one_record_are_one_record(world: World) -> None:
    """A second item for the record of another is refused, by whichever of its names."""
    made = await world.create(name="A", external_id="x-1")
    items = [{"external_id": "x-1", "name": "B"}, {"id": made["id"], "name": "C"}]
    for order in (items, items[::-1]):
        results = await run(world, {"items": order})
        assert [result["status"] for result in results] == [200, 422]
        assert results[1]["problem"]["errors"][0]["code"] == "repeated"


async def test_if_revision_is_the_condition_of_an_item(world: World) -> None:
    """Another revision, or no record, is 412 for the item alone; the others are written."""
    made = await world.create(name="A", external_id="x-1")
    items: list[dict[str, Any]] = [
        {"id": made["id"], "if_revision": 1, "name": "A2"},
        {"external_id": "x-9", "if_revision": 1, "name": "C"},
        {"if_revision": 1, "name": "D"},
        {"if_revision": True, "name": "E"},
        {"name": "F"},
    ]
    results = await run(world, {"items": items})
    assert [result["status"] for result in results] == [200, 412, 412, 422, 201]
    assert results[1]["problem"]["errors"][0]["pointer"] == "/items/1/if_revision"
    results = await run(world, {"items": [{"external_id": "x-1", "if_revision": 1, "name": "A3"}]})
    assert results[0]["problem"]["code"] == "revision_mismatch"
    assert results[0]["problem"]["current"]["revision"] == 2


async def test_an_atomic_batch_is_refused_for_one_old_revision(world: World) -> None:
    """The whole answer is 412, also where another item is not valid, and nothing is written."""
    made = await world.create(name="A")
    items = [{"name": "B"}, {"name": ""}, {"id": made["id"], "if_revision": 2, "name": "A2"}]
    with pytest.raises(RevisionMismatch) as refused:
        await run(world, {"items": items}, atomic=True)
    assert refused.value.errors[0].pointer == "/items/2/if_revision"
    assert await world.ids() == [made["id"]]


async def test_an_atomic_batch_is_all_or_nothing(world: World) -> None:
    """Every error of every item is in one answer, and nothing is written."""
    with pytest.raises(InvalidRecord) as refused:
        await run(world, {"items": [{"name": ""}, {"name": "A"}, {"name": 5, "email": "no"}]}, atomic=True)
    assert [f.pointer for f in refused.value.errors] == ["/items/0/name", "/items/2/name", "/items/2/email"]
    assert await world.ids() == []
    assert len(await run(world, {"items": [{"name": "A"}, {"name": "B"}]}, atomic=True)) == 2


@pytest.mark.parametrize(
    ("data", "pointer", "code"),
    [
        ([], "", "wrong_type"),
        ({}, "/items", "missing_member"),
        ({"items": None}, "/items", "missing_member"),
        ({"items": {}}, "/items", "wrong_type"),
        ({"items": [], "more": 1}, "/more", "unknown_member"),
        ({"items": [{"name": "A"}] * 501}, "/items", "invalid_value"),
    ],
)
async def test_what_is_no_batch_is_refused(world: World, data: Any, pointer: str, code: str) -> None:
    """Up to 500 items under `items`, and nothing else."""
    with pytest.raises(InvalidRecord) as refused:
        await run(world, data)
    assert [(finding.pointer, finding.code) for finding in refused.value.errors] == [(pointer, code)]


async def test_an_empty_batch_has_no_results(world: World) -> None:
    """Nothing to do is no error and no write."""
    seq = (await world.backend.view("north", None)).seq
    assert await run(world, {"items": []}) == []
    assert (await world.backend.view("north", None)).seq == seq


async def test_a_second_item_for_a_record_is_refused(world: World) -> None:
    """Two items with one external id have no defined order, so the second is refused."""
    results = await run(world, {"items": [{"name": "A", "external_id": "x"}, {"name": "B", "external_id": "x"}]})
    assert [result["status"] for result in results] == [201, 422]
    assert results[1]["problem"]["errors"][0]["pointer"] == "/items/1/external_id"


async def test_a_batch_fills_what_the_limit_leaves(world: World) -> None:
    """The first ones get the places, the others are refused; changes go on; atomic is refused whole."""
    await world.features({**EVERYTHING, "limits": {"customers": 3}})
    await world.create(external_id="x-1")
    items = [{"name": f"n{number}"} for number in range(4)] + [{"name": "B", "external_id": "x-1"}]
    with pytest.raises(LimitReached):
        await run(world, {"items": items}, atomic=True)
    results = await run(world, {"items": items})
    assert [result["status"] for result in results] == [201, 201, 403, 403, 200]
    assert results[2]["problem"]["code"] == "limit_reached"


async def test_concurrent_batches_never_pass_a_limit(world: World) -> None:
    """Ten batches of five against twelve places: twelve records."""
    await world.features({**EVERYTHING, "limits": {"customers": 12}})
    items = {"items": [{"name": "A"}] * 5}
    results = await asyncio.gather(*(run(world, items) for _ in range(10)))
    assert sum(result["status"] == 201 for each in results for result in each) == 12
    assert len(await world.ids()) == 12


async def test_concurrent_batches_on_the_same_records_lose_nothing(world: World) -> None:
    """Each ends up created once, and every change lands."""
    items = [[{"name": "A", "external_id": f"x-{n}", "custom": {f"b{b}": b}} for n in range(10)] for b in range(5)]
    await asyncio.gather(*(run(world, {"items": each}) for each in items))
    listed = (await world.list())["items"]
    assert len(listed) == 10
    assert all(item["custom"] == {f"b{b}": b for b in range(5)} for item in listed)


async def test_who_may_neither_create_nor_update_is_refused(world: World) -> None:
    """Before the items are looked at."""
    with pytest.raises(InsufficientScope):
        await run(world, {"items": "nonsense"}, caller=READER)

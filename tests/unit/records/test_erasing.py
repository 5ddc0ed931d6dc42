from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from crm_core.errors import InsufficientScope, InvalidRecord, NotFound, RevisionMismatch, StillReferenced
from crm_core.model.caller import Caller
from crm_core.records import erasing
from crm_core.records.batch import Batch
from crm_core.records.idempotency import ReplayedRefusal, idempotent_request
from crm_core.records.preconditions import UNCONDITIONAL, Preconditions
from records_world import SCOPES, World

SCOPED = SCOPES | {"customers:erase", "deals:erase", "tasks:erase"}
ERASER = Caller(kind="token", id="t3", name="eraser", revision=1, scopes=SCOPED)


async def erase(world: World, id_: str, *, cascade: bool = False, caller: Caller = ERASER, match: str = "") -> None:
    access = msgspec.structs.replace(world.access(caller=caller), request_id="r-9")
    conditions = Preconditions(match) if match else UNCONDITIONAL
    await world.records.erasure.erase(access, id_, conditions, cascade=cascade)


async def entries(world: World) -> list[Any]:
    found = (await world.backend.changes("north", 0)).entries
    assert found is not None
    return [stored.entry for stored in found]


async def test_an_erased_record_is_gone(world: World) -> None:
    """Detail, history, list and search have it no more; its external id is free; the log says only that it was."""
    made = await world.create(external_id="x-1", email="ada@example.com", name="Ada Lovelace")
    other = await world.create(name="Grace Hopper")
    await world.records.writes.update(world.access(), made["id"], {"phone": "+49 30 1234"}, UNCONDITIONAL)
    await erase(world, made["id"])
    for reading in (
        world.records.reads.detail(world.access(), made["id"]),
        world.records.feed.history(world.access(), made["id"], 50),
    ):
        with pytest.raises(NotFound):
            await reading
    assert await world.ids() == [other["id"]]
    assert (await world.list(q="lovelace"))["items"] == []
    again = await world.records.writes.put(world.access(), "x-1", {"name": "Ada"}, UNCONDITIONAL)
    assert (again.status, again.id != made["id"]) == (201, True)
    created, _, updated, erased, _ = await entries(world)
    for entry, revision in ((created, 1), (updated, 2)):
        assert (entry.id, entry.revision, entry.external_id, entry.actor) == (made["id"], revision, None, None)
        assert (entry.changes, entry.request_id) == ((), None)
    assert (erased.change, erased.revision, erased.external_id) == ("erased", 3, None)
    assert (erased.actor, erased.request_id) == ("token:t3", "r-9")
    with pytest.raises(NotFound):
        await erase(world, made["id"])


async def test_an_archived_record_can_be_erased(world: World) -> None:
    """It need not be live."""
    made = await world.create()
    await world.records.archive.archive(world.access(), made["id"], UNCONDITIONAL)
    await erase(world, made["id"])
    assert await world.backend.count("north", "archived:customers") == 0


async def test_a_repeat_of_an_idempotent_request_creates_nothing(world: World) -> None:
    """The stored answer is cleared: the repeat of the create, and of the change, is 404, with any body."""
    access = world.access()
    create, change = (idempotent_request(key, access.caller, "/customers", b"") for key in ("c", "p"))
    made = await world.records.writes.create(access, {"name": "Ada"}, create)
    await world.records.writes.update(access, made.id, {"name": "B"}, UNCONDITIONAL, change)
    await erase(world, made.id)
    for _ in range(2):
        with pytest.raises(NotFound, match="erased"):
            await world.records.writes.create(access, {"name": "Ada"}, create)
        with pytest.raises(NotFound, match="erased"):
            await world.records.writes.update(access, made.id, {"name": "B"}, UNCONDITIONAL, change)
    assert await world.ids() == []
    claims = [await world.backend.claim("north", "idempotency", each.claim_key) for each in (create, change) if each]
    assert claims == [b"null", b"null"]


async def test_rights_and_conditions(world: World) -> None:
    """It needs its own scope, If-Match works as for a change, and neither suspension nor a missing module stops it."""
    made = await world.create()
    with pytest.raises(InsufficientScope):
        await erase(world, made["id"], caller=msgspec.structs.replace(ERASER, scopes=SCOPES))
    with pytest.raises(RevisionMismatch):
        await erase(world, made["id"], match='"2"')
    plan = {"code": "p", "name": "P", "features": ["tasks.*"]}
    await world.features({"plan": plan, "subscription": {"state": "suspended"}})
    await erase(world, made["id"], match='"1"')
    assert await world.backend.count("north", "records:customers") == 0


async def test_a_record_that_others_refer_to(world: World) -> None:
    """Without cascade it stays, and the refusal counts them, archived ones too; with it all go in one unit."""
    made = await world.create()
    deals = [await world.create("deals", customer_id=made["id"]) for _ in range(2)]
    await world.create("tasks", deal_id=deals[0]["id"], customer_id=made["id"])
    bystander = await world.create("tasks")
    await world.records.archive.archive(world.access("deals"), deals[1]["id"], UNCONDITIONAL)
    with pytest.raises(StillReferenced) as refused:
        await erase(world, made["id"])
    assert refused.value.evidence["references"] == {"deals": 2, "tasks": 1}
    with pytest.raises(InsufficientScope):
        await erase(
            world, made["id"], cascade=True, caller=msgspec.structs.replace(ERASER, scopes=SCOPED - {"tasks:erase"})
        )
    seq = (await world.backend.view("north", None)).seq
    await erase(world, made["id"], cascade=True)
    assert (await world.backend.view("north", None)).seq == seq + 1
    assert [await world.ids(name) for name in ("customers", "deals", "tasks")] == [[], [], [bystander["id"]]]
    erased = [entry.type for entry in await entries(world) if entry.change == "erased"]
    assert sorted(erased) == ["customers", "deals", "deals", "tasks"]
    assert erased[-1] == "customers"


async def test_too_many_to_erase_in_one_unit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound nothing is erased, and the refusal counts what refers to the record."""
    monkeypatch.setattr(erasing, "MOST_ERASED", 3)
    made = await world.create()
    for _ in range(3):
        await world.create("tasks", customer_id=made["id"])
    with pytest.raises(StillReferenced) as refused:
        await erase(world, made["id"], cascade=True)
    assert refused.value.evidence["references"] == {"tasks": 3}
    assert len(await world.ids("tasks")) == 3
    await world.records.erasure.erase(
        world.access("tasks", ERASER), (await world.ids("tasks"))[0], UNCONDITIONAL, cascade=True
    )
    await erase(world, made["id"], cascade=True)
    assert await world.ids("tasks") == []


async def test_a_new_reference_stops_an_erase(world: World) -> None:
    """A deal that is created between the look and the commit is found by the next attempt."""
    made = await world.create()
    known = world.backend.commit

    async def overtaken(*arguments: Any) -> Any:
        world.backend.commit = known  # type: ignore[method-assign]
        await world.create("deals", customer_id=made["id"])
        return await known(*arguments)

    world.backend.commit = overtaken  # type: ignore[method-assign]
    with pytest.raises(StillReferenced):
        await erase(world, made["id"])


@pytest.mark.parametrize("archived", [False, True])
async def test_a_new_reference_next_to_others_is_erased_with_them(world: World, archived: bool) -> None:
    """A second deal that comes between the look and the commit of a cascade goes too, even one just archived."""
    made = await world.create()
    await world.create("deals", customer_id=made["id"])
    known = world.backend.commit

    async def overtaken(*arguments: Any) -> Any:
        world.backend.commit = known  # type: ignore[method-assign]
        second = await world.create("deals", customer_id=made["id"])
        if archived:
            await world.records.archive.archive(world.access("deals"), second["id"], UNCONDITIONAL)
        return await known(*arguments)

    world.backend.commit = overtaken  # type: ignore[method-assign]
    await erase(world, made["id"], cascade=True)
    assert await world.ids("deals") == []
    assert [entry.type for entry in await entries(world) if entry.change == "erased"] == ["deals", "deals", "customers"]


async def test_an_answer_stored_while_a_record_is_erased_has_nothing_of_it(world: World) -> None:
    """A change that changes nothing and is overtaken by the erase is 404, and its repeat is 404 as well."""
    made = await world.create()
    known = world.backend.commit

    async def overtaken(*arguments: Any) -> Any:
        world.backend.commit = known  # type: ignore[method-assign]
        await erase(world, made["id"])
        return await known(*arguments)

    repeated = idempotent_request("k1", world.access().caller, f"/customers/{made['id']}", b"{}")
    world.backend.commit = overtaken  # type: ignore[method-assign]
    with pytest.raises(NotFound):
        await world.records.writes.update(world.access(), made["id"], {}, UNCONDITIONAL, repeated)
    with pytest.raises(ReplayedRefusal) as again:
        await world.records.writes.update(world.access(), made["id"], {}, UNCONDITIONAL, repeated)
    assert isinstance(again.value.error, NotFound)


def batch(*items: dict[str, Any]) -> Batch:
    """An atomic batch."""
    return Batch(data={"items": list(items)}, atomic=True, request_id="r", instance="eu1", idempotent=None)


@pytest.mark.parametrize("how", ["erase", "archive"])
async def test_no_record_refers_to_one_that_is_just_going(world: World, how: str) -> None:
    """A new reference, in a create, a change and a batch, is refused if its record goes before the commit."""
    other = (await world.create("deals", customer_id=(await world.create())["id"]))["id"]
    known, deals = world.backend.commit, world.access("deals")
    writes: list[Callable[[str], Any]] = [
        lambda id_: world.records.writes.create(deals, {"name": "A", "customer_id": id_}, None),
        lambda id_: world.records.writes.update(deals, other, {"customer_id": id_}, UNCONDITIONAL),
        lambda id_: world.records.batches.run(
            deals,
            Batch(
                data={"items": [{"name": "A", "customer_id": id_}]},
                atomic=True,
                request_id="r",
                instance="eu1",
                idempotent=None,
            ),
        ),
    ]
    for write in writes:
        made = await world.create()

        async def overtaken(*arguments: Any, gone: str = made["id"]) -> Any:
            world.backend.commit = known  # type: ignore[method-assign]
            if how == "erase":
                await erase(world, gone)
            else:
                await world.records.archive.archive(world.access(), gone, UNCONDITIONAL)
            return await known(*arguments)

        world.backend.commit = overtaken  # type: ignore[method-assign]
        with pytest.raises(InvalidRecord) as refused:
            await write(made["id"])
        assert [finding.code for finding in refused.value.errors] == ["dangling_reference"]
    assert len(await world.ids("deals")) == 1

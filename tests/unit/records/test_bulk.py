from __future__ import annotations

from typing import Any

import msgspec

from crm_core.errors import RevisionMismatch, StorageUnavailable, Unauthenticated
from crm_core.model.caller import Caller
from crm_core.plugin.storage import Document
from crm_core.records.bulk import BulkTally, PatchOf, Selected
from records_world import EVERYTHING, World, unchanged


def setting(**members: Any) -> PatchOf:
    """The same patch for every record."""

    async def patch(_document: Document) -> dict[str, Any]:
        return members

    return patch


async def last(tallies: Any) -> BulkTally:
    """The tally at the end."""
    return [tally async for tally in tallies][-1]


async def test_a_selection_is_changed_while_its_filter_finds_it(world: World) -> None:
    """All leads become active although each one leaves the selection; another customer stays as it is."""
    names = [(await world.create(name=f"Lead {number:03}"))["name"] for number in range(130)]
    other = await world.create(name="Other", status="inactive")
    selected = Selected(parameters={"status": "lead"})
    assert await world.records.bulk.count(world.access(), selected) == 130
    steps = [
        (tally.done, tally.changes)
        async for tally in world.records.bulk.update(world.access(), selected, setting(status="active"), unchanged)
    ]
    assert steps == [(100, 100), (130, 130)]
    active = await world.list(status="active", limit="200", sort="name")
    assert [one["name"] for one in active["items"]] == names
    assert (await world.list(status="inactive"))["items"] == [other]


async def test_each_record_has_its_own_refusal(world: World) -> None:
    """One that is gone, one that is archived and one whose patch is refused stop no other; what changed is named."""
    made, old, unready = [await world.create(name=name) for name in ("Ada", "Old", "Unready")]
    await last(world.records.bulk.move(world.access(), Selected(((old["id"], 0),)), unchanged, archived=True))

    async def patch(document: Document) -> dict[str, Any]:
        if document.id == unready["id"]:
            raise RevisionMismatch("Changed since.")
        return {"status": "active"}

    chosen = tuple((id_, 0) for id_ in (made["id"], "gone", old["id"], unready["id"]))
    tally = await last(world.records.bulk.update(world.access(), Selected(chosen), patch, unchanged))
    assert (tally.done, tally.changes, tally.refusals) == (4, 1, 3)
    assert tally.changed == [(made["id"], 2)]
    assert {one.name: one.code for one in tally.refused} == {
        "": "not_found",
        "Old": "record_archived",
        "Unready": "revision_mismatch",
    }


async def test_a_bulk_archive_is_undone_by_a_bulk_restore(world: World) -> None:
    """Each record comes back at the revision that the archive made; one that changed since is refused."""
    made = [await world.create(name=name) for name in ("Ada", "Bob")]
    access = world.access()
    chosen = tuple((one["id"], 0) for one in made)
    archived = await last(world.records.bulk.move(access, Selected(chosen), unchanged, archived=True))
    assert await world.records.count("north", "customers") == 0
    again = await last(world.records.bulk.move(access, Selected(chosen), unchanged, archived=True))
    assert (again.done, again.changes) == (2, 0)
    stale = (archived.changed[0][0], 7)
    back = await last(
        world.records.bulk.move(access, Selected((stale, archived.changed[1])), unchanged, archived=False)
    )
    assert (back.changes, [one.code for one in back.refused]) == (1, ["revision_mismatch"])
    assert [msgspec.json.decode((await world.records.reads.detail(access, one[0])).body)["archived_at"] is None
            for one in archived.changed] == [False, True]  # fmt: skip


async def test_a_caller_who_is_gone_changes_no_more(world: World) -> None:
    """One who is disabled in the middle: what is written stays, the rest was not tried, and the tally says why."""
    for number in range(250):
        await world.create(name=f"n{number}")
    lookups = 0

    async def current(_tenant: str, caller: Caller) -> Caller:
        nonlocal lookups
        lookups += 1
        if lookups > 1:
            raise Unauthenticated("Sign in.")
        return caller

    tallies = world.records.bulk.update(world.access(), Selected(parameters={}), setting(status="active"), current)
    tally = await last(tallies)
    assert (tally.done, tally.changes) == (100, 100)
    assert isinstance(tally.stopped, Unauthenticated)


async def test_lost_rights_stop_the_rest(world: World) -> None:
    """When the right to change is gone, the rest is not tried, and the reason is in the tally."""
    for number in range(3):
        await world.create(name=f"Customer {number}")
    features = {**EVERYTHING, "overrides": {"customers.update": False, "customers.create": False}}
    await world.features(features)
    tally = await last(
        world.records.bulk.update(world.access(), Selected(parameters={}), setting(status="active"), unchanged)
    )
    assert tally.stopped is not None
    assert (tally.stopped.code, tally.changes) == ("feature_unavailable", 0)


async def test_what_was_moved_before_a_fault_is_counted(world: World) -> None:
    """Records are moved ten at a time: if one of them meets a fault, the tally has those that were moved anyway."""
    made = [await world.create(name=f"Customer {number}") for number in range(5)]
    commit = world.backend.commit

    async def failing(*sent: Any) -> Any:
        world.backend.commit = commit  # type: ignore[method-assign]  # once
        raise StorageUnavailable("No.")

    world.backend.commit = failing  # type: ignore[method-assign]  # the first move fails
    chosen = tuple((one["id"], 0) for one in made)
    tally = await last(world.records.bulk.move(world.access(), Selected(chosen), unchanged, archived=True))
    moved = [one["id"] for one in made if one["id"] not in await world.ids()]
    assert (tally.stopped is not None, [id_ for id_, _ in tally.changed]) == (True, moved)
    assert moved == [one["id"] for one in made[1:]]

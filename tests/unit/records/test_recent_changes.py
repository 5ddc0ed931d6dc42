from __future__ import annotations

import pytest

from crm_core.model.caller import Caller
from crm_core.records import recent_changes
from crm_core.records.preconditions import UNCONDITIONAL
from records_world import SCOPES, World

ERASER = Caller(kind="token", id="t4", name="eraser", revision=1, scopes=SCOPES | {"customers:erase"})


async def test_the_newest_changes_come_first(world: World) -> None:
    """Each change has its author, its members and the new values of choices, and no other value."""
    made = await world.create()
    await world.records.writes.update(
        world.access(), made["id"], {"status": "active", "phone": "+49 30 1234567"}, UNCONDITIONAL
    )
    newest, first = await world.records.recent_changes.of("north", ["customers", "deals"])
    assert (first.change, first.id, first.actor) == ("created", made["id"], "token:t1")
    assert (newest.change, set(newest.members), newest.chosen) == ("updated", {"status", "phone"}, {"status": "active"})
    assert await world.records.recent_changes.of("north", ["deals"]) == []


async def test_changes_go_on_from_the_last_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later read has the new changes too; only the newest ones are remembered."""
    monkeypatch.setattr(recent_changes, "MOST_CHANGES", 3)
    ids = [(await world.create())["id"] for _ in range(2)]
    assert [one.id for one in await world.records.recent_changes.of("north", ["customers"])] == ids[::-1]
    ids += [(await world.create())["id"] for _ in range(2)]
    assert [one.id for one in await world.records.recent_changes.of("north", ["customers"])] == ids[:0:-1]


async def test_nothing_is_remembered_of_an_erased_record(world: World) -> None:
    """After an erase only the erase itself is left, as in the log."""
    made = await world.create()
    await world.records.recent_changes.of("north", ["customers"])
    await world.records.erasure.erase(world.access(caller=ERASER), made["id"], UNCONDITIONAL, cascade=False)
    assert [one.change for one in await world.records.recent_changes.of("north", ["customers"])] == ["erased"]

"""The unit of an applied push: everything that is stored with it, and the events that it makes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crm_core.errors import PluginFailed
from crm_core.model.change_log import MODULES_CHANGED, SYNC_APPLIED, ChangeEntry
from crm_core.plugin.storage import Delete, WorkspaceAt
from crm_core.sync.apply import removed_modules
from crm_core.sync.revisions import HISTORY
from crm_core.workspace import Workspace
from sync_world import World, recorded

Worlds = Callable[..., Awaitable[World]]
AT = "2026-11-24T02:00:00.000Z"
BOTH = {"branding": {"title": "One"}, "workspace": {"locale": "de-DE"}}
FAILING = """
import msgspec
from msgspec import UNSET, UnsetType
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import PayloadType

class Talk(msgspec.Struct, forbid_unknown_fields=True):
    word: str | UnsetType = UNSET

class TalkType(PayloadType):
    NAME = "talk"
    SECTION = Talk

    def entitlements(self, part):
        if part.word == "fail":
            raise ZeroDivisionError

@hookimpl
def crm_register_payload_types():
    return [TalkType()]
"""


async def pushed(world: World, data: Any, kind: str = "branding", **members: Any) -> Any:
    return await world.services.receiver.receive(world.push(data, kind=kind, **members))


def applied(revision: int, kind: str = "branding") -> ChangeEntry:
    """The event of a push; each of these tests has one push for each revision."""
    request = f"request-{revision}"
    data = {"type": kind, "version": revision, "revision": revision, "request_id": request}
    return ChangeEntry(event=SYNC_APPLIED, at=AT, actor="key:2", request_id=request, data=data)


async def test_a_push_is_stored_as_one_unit(world: World) -> None:
    """Section, revision, nonce, payload hash, log entry and event, at the revision of the workspace that was read."""
    units = recorded(world)
    await pushed(world, {"title": "One"})
    await pushed(world, BOTH, kind="combined")
    first, second = units
    epoch = (await world.backend.view("northwind", None)).epoch
    assert [(put.collection, put.id) for put in first.puts] == [
        ("sections", "branding"),
        (HISTORY, "0000000000000001-branding"),
    ]
    assert [put.id for put in second.puts] == ["branding", "workspace", "0000000000000002-workspace"]
    for revision, unit in enumerate(units):
        assert unit.expect == (WorkspaceAt(revision, epoch),)
        assert (unit.now, unit.deletes, unit.releases, unit.revises) == (int(world.clock().timestamp()), (), (), True)
        assert [claim.kind.partition(":")[0] for claim in unit.claims] == ["nonce", "payload"]
        assert [entry.revision for entry in unit.entries] == [revision + 1]
    assert [unit.changes for unit in units] == [(applied(1),), (applied(2, "combined"),)]


async def test_an_unchanged_push_makes_no_event(world: World) -> None:
    """It takes its version, without an entry of the history."""
    await pushed(world, {"title": "One"})
    units = recorded(world)
    await pushed(world, {"title": "One"})
    ((unit,),) = [units]
    assert (unit.changes, [put.id for put in unit.puts], unit.revises) == ((), ["branding"], True)


async def test_the_oldest_revision_goes_with_the_push_that_exceeds_the_history(worlds: Worlds) -> None:
    """Of each section that it changes, and of no other."""
    world = await worlds(sync="history_keep: 1")
    await pushed(world, BOTH, kind="combined")
    units = recorded(world)
    await pushed(world, BOTH | {"branding": {"title": "Two"}}, kind="combined")
    await pushed(world, {"locale": "en-GB"}, kind="workspace")
    assert [unit.deletes for unit in units] == [
        (Delete(HISTORY, "0000000000000001-branding"),),
        (Delete(HISTORY, "0000000000000001-workspace"),),
    ]
    assert [len(unit.releases) for unit in units] == [0, 1]
    for section, revision in (("branding", 2), ("workspace", 3)):
        page, _ = await world.services.history.page("northwind", section, limit=9, cursor=None)
        assert [one.revision for one in page] == [revision]


async def test_a_change_of_modules_is_an_event(world: World) -> None:
    """It has every module's state; a push that leaves the states makes none."""
    units = recorded(world)
    await pushed(world, {"limits": {"customers": 9}}, kind="features")
    await pushed(world, {"modules": {"tasks": {"enabled": False}}}, kind="features")
    states = (await world.services.views.of("northwind")).module_states()
    assert (states["customers"], states["tasks"]) == ("available", "unavailable")
    changed = ChangeEntry(event=MODULES_CHANGED, at=AT, actor="key:2", request_id="request-2", data={"modules": states})
    assert [unit.changes for unit in units] == [
        (applied(1, "features"),),
        (applied(2, "features"), changed),
    ]


async def test_modules_that_are_removed(world: World) -> None:
    """Those that were available and no longer are, and no other."""
    await pushed(world, {"plan": {"code": "pro", "features": ["customers.*", "tasks.*"]}}, kind="features")
    before = await world.services.views.of("northwind")
    await pushed(world, {"plan": {"code": "pro", "features": ["customers.*", "deals.*"]}}, kind="features")
    after = await world.services.views.of("northwind")
    assert removed_modules(before, after) == ["tasks"]
    assert removed_modules(after, before) == ["deals"]
    assert removed_modules(after, after) == []


async def test_the_workspace_of_a_push_is_not_derived_again(world: World) -> None:
    """Readers receive the one that the push was checked with, and it shares what the push left as it was."""
    before = await world.services.views.of("northwind")
    learned: list[Workspace] = []
    learn = world.services.views.learn

    def learning(workspace: Workspace) -> None:
        learned.append(workspace)
        learn(workspace)

    world.services.views.learn = learning  # type: ignore[method-assign]
    await pushed(world, {"title": "One"})
    after = await world.services.views.of("northwind")
    assert [one is after for one in learned] == [True]
    assert (after.tenant, after.generation, after.modules is before.modules) == ("northwind", before.generation, True)
    await pushed(world, {"title": "Two"}, mode="preview")
    assert len(learned) == 1


async def test_a_section_that_its_type_cannot_use_is_not_applied(worlds: Worlds) -> None:
    """The plugin and its method are named, and nothing is stored."""
    world = await worlds(plugin=FAILING)
    with pytest.raises(PluginFailed) as refused:
        await pushed(world, {"word": "fail"}, kind="talk")
    assert (refused.value.evidence["plugin"], refused.value.evidence["hook"]) == ("lone", "entitlements")
    assert refused.value.detail.startswith("The plugin lone failed in entitlements. ")
    assert (await world.services.views.of("northwind")).revision == 0


async def test_the_response_to_a_push(world: World) -> None:
    """An unchanged one has no time, and a preview no revision either."""
    one = await pushed(world, {"title": "One"})
    same = await pushed(world, {"title": "One"})
    preview = await pushed(world, {"title": "Two"}, mode="preview")
    shown = [(each.status, each.applied_at, each.revision, each.version) for each in (one, same, preview)]
    assert shown == [("applied", AT, 1, 1), ("unchanged", None, 2, 2), ("previewed", None, None, 3)]
    assert (one.tenant, one.type, one.request_id) == ("northwind", "branding", "request-1")
    head = (await world.backend.view("northwind", None)).head
    assert (preview.log_head, preview.modules["deals"]) == (head, one.modules["deals"])

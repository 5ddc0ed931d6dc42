"""The stored revisions of sections: the pages of a history, and the payloads that dropped ones release."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crm_core.errors import DuplicatePayload, StorageUnavailable
from crm_core.plugin.storage import Delete, Unit
from crm_core.sync.revisions import HISTORY, history_id
from crm_core.sync.signature_checks import PAYLOAD_CLAIM
from sync_world import World, recorded

Worlds = Callable[..., Awaitable[World]]


async def applied(world: World, *titles: str) -> None:
    """Push branding with each title."""
    for title in titles:
        await world.services.receiver.receive(world.push({"title": title}))


def without_reads_of_revisions(world: World) -> None:
    """Let every read of a revision fail from now on."""
    get = world.backend.get

    async def failing(tenant: str, collection: str, id_: str) -> Any:
        if collection == HISTORY:
            raise StorageUnavailable("Not now.", retry_after=1)
        return await get(tenant, collection, id_)

    world.backend.get = failing  # type: ignore[method-assign]


async def test_a_dropped_revision_that_this_process_applied_is_not_read(worlds: Worlds) -> None:
    """Its payload is known, and accepted again once the history has forgotten it."""
    world = await worlds(sync="history_keep: 2")
    first = world.push({"title": "One"})
    await world.services.receiver.receive(first)
    without_reads_of_revisions(world)
    await applied(world, "Two")
    again = {"raw": await first.read_body()}
    with pytest.raises(DuplicatePayload):
        await world.services.receiver.receive(world.push(**again))
    units = recorded(world)
    await applied(world, "Three")
    assert [(unit.deletes, len(unit.releases)) for unit in units] == [
        ((Delete(HISTORY, history_id("branding", 1)),), 1)
    ]


async def test_a_dropped_revision_of_another_process_is_read(worlds: Worlds) -> None:
    """A push that cannot read it is not applied; one that can releases its payload."""
    world = await worlds(sync="history_keep: 1")
    await applied(world, "One")
    later = await worlds(sync="history_keep: 1")  # as after a restart
    get = later.backend.get
    without_reads_of_revisions(later)
    with pytest.raises(StorageUnavailable):
        await applied(later, "Two")
    later.backend.get = get  # type: ignore[method-assign]
    first = await later.services.history.revision("northwind", "branding", 1)
    units = recorded(later)
    await applied(later, "Two")
    assert [unit.releases for unit in units] == [((PAYLOAD_CLAIM, first.fingerprint),)]
    page, _ = await later.services.history.page("northwind", "branding", limit=9, cursor=None)
    assert [one.data["title"] for one in page] == ["Two"]


async def test_a_revision_that_is_gone_has_no_payload(worlds: Worlds) -> None:
    """A push that drops it from the list is applied, and releases nothing."""
    world = await worlds(sync="history_keep: 1")
    await applied(world, "One")
    await world.backend.commit("northwind", Unit(now=0, deletes=(Delete(HISTORY, history_id("branding", 1)),)))
    later = await worlds(sync="history_keep: 1")
    units = recorded(later)
    await applied(later, "Two")
    assert [unit.releases for unit in units] == [()]


async def test_a_page_leaves_out_what_a_push_drops_meanwhile(world: World) -> None:
    """It has the other revisions, and a cursor as if nothing were missing."""
    await applied(world, "One", "Two", "Three", "Four")
    await world.backend.commit("northwind", Unit(now=0, deletes=(Delete(HISTORY, history_id("branding", 3)),)))
    first, cursor = await world.services.history.page("northwind", "branding", limit=2, cursor=None)
    last, end = await world.services.history.page("northwind", "branding", limit=2, cursor=cursor)
    assert ([one.revision for one in first], [one.revision for one in last], end) == ([4], [2, 1], None)


async def test_a_section_that_was_never_pushed_has_no_revisions(world: World) -> None:
    """Its page is empty, and the last one."""
    assert await world.services.history.page("northwind", "branding", limit=2, cursor=None) == ([], None)

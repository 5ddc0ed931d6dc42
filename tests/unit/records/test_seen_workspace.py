"""Requests whose caller was looked up just before another process pushed: they have seen the workspace before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from crm_core.errors import ModuleUnavailable
from crm_core.records.guarded_store import RecordAccess
from crm_core.records.preconditions import UNCONDITIONAL
from records_world import EVERYTHING, TOKEN, World

NOTHING = {"plan": {"code": "n", "name": "N", "features": []}}
REQUESTS: dict[str, Callable[[World, RecordAccess, str], Awaitable[Any]]] = {
    "create": lambda world, access, _: world.records.writes.create(access, {"name": "Grace"}, None),
    "update": lambda world, access, id_: world.records.writes.update(access, id_, {"name": "Ada"}, UNCONDITIONAL),
    "detail": lambda world, access, id_: world.records.reads.detail(access, id_),
    "list": lambda world, access, _: world.records.reads.list(access, {}),
}


async def overtaken(world: World, data: dict[str, Any]) -> tuple[RecordAccess, str]:
    """A request whose caller has seen the workspace from before a push, and a record."""
    made = await world.create()
    before = await world.views.of("north")
    await world.features(data)
    assert world.views.assumed("north") is before
    return world.access(caller=msgspec.structs.replace(TOKEN, seen=(before.revision, before.epoch))), made["id"]


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
async def test_a_push_that_takes_the_module_away_counts(world: World, request_: Any) -> None:
    """The request is refused, as the store finds that the workspace has changed."""
    access, id_ = await overtaken(world, NOTHING)
    with pytest.raises(ModuleUnavailable):
        await request_(world, access, id_)


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS.keys())
async def test_a_push_that_leaves_the_module_does_not_stop_the_request(world: World, request_: Any) -> None:
    """It is decided again with the workspace as it is now, not with the one that was seen."""
    access, id_ = await overtaken(world, EVERYTHING)
    await request_(world, access, id_)
    assert (await world.views.of("north")).revision > (access.caller.seen or (0, ""))[0]

"""The traces that pushes leave in a store, and those of pushes that change nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crm_core.sync.push_request import PushRequest
from crm_core.sync.revisions import HISTORY
from crm_core.sync.signature_checks import PAYLOAD_CLAIM
from sync_world import World

Worlds = Callable[..., Awaitable[World]]


async def remembered(world: World, pushes: list[PushRequest]) -> list[bool]:
    """For each push, whether its payload hash is in the store."""
    known = []
    for push in pushes:
        (fingerprint,) = world.services.sealer.fingerprints(hashlib.sha256(await push.read_body()).hexdigest())
        known.append(await world.backend.claim("northwind", PAYLOAD_CLAIM, fingerprint) is not None)
    return known


async def received(world: World, data: Any, *, kind: str = "branding", **members: Any) -> tuple[PushRequest, Any]:
    """A push and its receipt."""
    push = world.push(data, kind=kind, **members)
    return push, await world.services.receiver.receive(push)


async def test_sixty_pushes_of_the_same_data_leave_one_payload_hash(world: World) -> None:
    """The history keeps its one entry, and of sixty unchanged pushes only the last one's hash is remembered."""
    first, _ = await received(world, {"title": "T"})
    pushes = []
    for _ in range(60):
        push, receipt = await received(world, {"title": "T"})
        assert receipt.status == "unchanged"
        pushes.append(push)
    assert await remembered(world, [first, *pushes]) == [True, *[False] * 59, True]
    items, _ = await world.services.history.page("northwind", "branding", limit=100, cursor=None)
    assert [item.revision for item in items] == [1]
    last, _ = await received(world, {"title": "U"})
    assert await remembered(world, [first, pushes[-1], last]) == [True, False, True]


async def test_a_combined_payload_is_remembered_until_every_section_of_it_was_pushed(world: World) -> None:
    """While one section of an unchanged push has it as its last, the hash stays."""
    parts = {"branding": {"title": "T"}, "workspace": {"locale": "de"}}
    await received(world, parts, kind="combined")
    both, receipt = await received(world, parts, kind="combined")
    assert receipt.status == "unchanged"
    await received(world, parts["branding"])
    assert await remembered(world, [both]) == [True]
    await received(world, parts["workspace"], kind="workspace")
    assert await remembered(world, [both]) == [False]


async def test_a_section_that_stays_adds_nothing_to_a_combined_push(world: World) -> None:
    """The hash of a push that changes another section goes with that section's history, not before."""
    await received(world, {"title": "T"})
    mixed, receipt = await received(world, {"branding": {"title": "T"}, "workspace": {"locale": "de"}}, kind="combined")
    assert receipt.status == "applied"
    await received(world, {"title": "U"})
    assert await remembered(world, [mixed]) == [True]
    page = await world.services.history.page("northwind", "workspace", limit=10, cursor=None)
    assert [item.revision for item in page[0]] == [2]
    read = await world.backend.get("northwind", HISTORY, "0000000000000002-branding")
    assert read.document is None


async def test_a_payload_is_forgotten_with_its_last_revision(worlds: Worlds) -> None:
    """The hashes that a store remembers of a section are as many as the revisions of its history."""
    world = await worlds(sync="history_keep: 2")
    pushes = [(await received(world, {"title": title}))[0] for title in ("T", "U", "V", "W")]
    assert await remembered(world, pushes) == [False, False, True, True]


async def test_a_restore_is_a_change_until_the_next_push(world: World) -> None:
    """A section says that a restore changed it, and a push ends that even if it changes nothing."""
    for title in ("One", "Two"):
        await received(world, {"title": title})
    await received(world, {"title": "Two"})

    async def restored() -> bool:
        return (await world.services.views.of("northwind")).sections["branding"].restored

    assert not await restored()
    await world.services.history.restore("northwind", "branding", 1, actor="console", request_id="r")
    assert await restored()
    _, receipt = await received(world, {"title": "One"})
    assert receipt.status == "unchanged"
    assert not await restored()


@pytest.mark.parametrize("revoked", [False, True])
async def test_its_version_counts_under_its_key(world: World, *, revoked: bool) -> None:
    """The floor is that of an applied push, and drops as such a one's does when its key is revoked."""
    await received(world, {"title": "T"}, version=5)
    await received(world, {"title": "T"}, version=9)
    section = (await world.services.views.of("northwind")).sections["branding"]
    assert (section.version, section.versions) == (9, {2: 9})
    assert section.floor({2} if revoked else set()) == (0 if revoked else 9)

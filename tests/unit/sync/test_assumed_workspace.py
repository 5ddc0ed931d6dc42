"""Pushes to a workspace that another process has changed since it was seen here: nothing is answered from memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any

import pytest

from crm_core.errors import (
    DuplicatePayload,
    InvalidPayload,
    MalformedJson,
    PluginFailed,
    ReplayedNonce,
    StaleVersion,
    StorageFull,
    UnknownTenant,
)
from sync_world import World, overtaken

Worlds = Callable[..., Awaitable[World]]


async def behind(world: World, *pushes: Any) -> None:
    """Have the receiver assume the workspace from before these pushes."""
    views = world.services.views
    seen = await views.of("northwind")
    for push in pushes:
        await world.services.receiver.receive(push)
    views.assumed = lambda _: seen  # type: ignore[method-assign]


def asked(world: World) -> list[Sequence[tuple[str, str]]]:
    """The claims that were looked up with the workspace, of each time."""
    views, found = world.services.views, list[Sequence[tuple[str, str]]]()
    with_claims = views.with_claims

    async def counted(tenant: str, claims: Sequence[tuple[str, str]]) -> Any:
        found.append(claims)
        return await with_claims(tenant, claims)

    views.with_claims = counted  # type: ignore[method-assign]
    return found


async def test_a_push_to_a_workspace_that_was_seen_reads_nothing(world: World) -> None:
    """Its unit finds whether anything has changed."""
    await world.services.receiver.receive(world.push({"title": "One"}))
    reads, units = asked(world), overtaken(world, rounds=0)
    receipt: Any = await world.services.receiver.receive(world.push({"title": "Two"}))
    assert (receipt.status, receipt.revision, reads) == ("applied", 2, [])
    assert [unit.expect[0].revision for unit in units] == [1]  # type: ignore[union-attr]


async def test_a_push_is_applied_to_what_others_left(world: World) -> None:
    """A merge keeps what was pushed meanwhile, and its receipt has the changes from there."""
    await behind(world, world.push({"title": "One", "login_message": "Hello"}))
    receipt: Any = await world.services.receiver.receive(world.push({"title": "Two"}, strategy="merge"))
    assert [(change.pointer, change.before, change.after) for change in receipt.changes] == [
        ("/branding/title", "One", "Two")
    ]
    assert receipt.revision == 2


async def test_a_preview_is_of_the_workspace_as_it_is(world: World) -> None:
    """No unit would show that it was of another one."""
    await behind(world, world.push({"title": "One"}))
    receipt: Any = await world.services.receiver.receive(world.push({"title": "Two"}, mode="preview"))
    assert [(change.before, change.after) for change in receipt.changes] == [("One", "Two")]


async def test_a_version_below_the_newest_is_refused(world: World) -> None:
    """Also where the version that was seen here is lower."""
    await behind(world, world.push({"title": "One"}, version=7))
    with pytest.raises(StaleVersion):
        await world.services.receiver.receive(world.push({"title": "Two"}, version=6))


async def test_nothing_is_refused_for_what_has_changed(worlds: Worlds) -> None:
    """The version floor was reset meanwhile; the push is applied."""
    world = await worlds()
    await world.services.receiver.receive(world.push({"title": "One"}, version=7))
    await behind(world)
    await world.services.history.reset_version("northwind", "branding")
    receipt: Any = await world.services.receiver.receive(world.push({"title": "Two"}, version=6))
    assert receipt.status == "applied"


async def test_a_body_that_was_applied_meanwhile_is_a_duplicate(world: World) -> None:
    """Not a stale version: that check comes later."""
    first = world.push({"title": "One"})
    await behind(world, first)
    with pytest.raises(DuplicatePayload) as refused:
        await world.services.receiver.receive(world.push(raw=await first.read_body()))
    assert refused.value.evidence["original"]["request_id"] == first.request_id


async def test_a_body_claimed_under_an_older_secret_is_a_duplicate(worlds: Worlds) -> None:
    """Its claim has another name, so the claims are looked up as long as there are several secrets."""
    first = (await worlds()).push({"title": "One"})
    world = await worlds()
    await world.services.receiver.receive(first)
    world = await worlds(secrets=("base64:" + "bmV3ZXIt" * 8, "base64:" + "c2VjcmV0" * 8))
    await world.services.views.of("northwind")
    with pytest.raises(DuplicatePayload):
        await world.services.receiver.receive(world.push(raw=await first.read_body()))


async def test_a_body_that_its_own_push_lets_the_store_forget_is_known(worlds: Worlds) -> None:
    """The oldest revision goes, and with it the claim that this one makes again."""
    world = await worlds(sync="history_keep: 2")
    receive, first = world.services.receiver.receive, world.push({"title": "One"})
    await receive(first)
    await receive(world.push({"title": "Two"}))
    await world.services.history.reset_version("northwind", "branding")
    await world.services.views.of("northwind")
    again: Any = await receive(world.push(raw=await first.read_body()))
    assert again.status == "applied"
    with pytest.raises(DuplicatePayload):
        await receive(world.push(raw=await first.read_body()))


async def test_a_confirmation_that_its_own_push_ends_is_known(world: World) -> None:
    """Its body was accepted and changed nothing; after a restore it does."""
    receive, history = world.services.receiver.receive, world.services.history
    for title in ("One", "Two"):
        await receive(world.push({"title": title}))
    same = world.push({"title": "Two"})
    await receive(same)
    await history.restore("northwind", "branding", 1, actor="cli", request_id="r", client_request_id=None, source=None)
    await history.reset_version("northwind", "branding")
    await world.services.views.of("northwind")
    again: Any = await receive(world.push(raw=await same.read_body()))
    assert again.status == "applied"
    with pytest.raises(DuplicatePayload):
        await receive(world.push(raw=await same.read_body()))


@pytest.mark.parametrize(
    ("data", "mode"), [({"title": "One"}, "apply"), ({"title": "Two"}, "preview"), ({"title": 5}, "apply")]
)
async def test_a_nonce_that_was_used_is_a_replay_with_any_body(world: World, data: Any, mode: str) -> None:
    """Its check comes before those of the content."""
    await behind(world, world.push({"title": "One"}))
    world.serial = count(1)
    with pytest.raises(ReplayedNonce):
        await world.services.receiver.receive(world.push(data, mode=mode))


async def test_a_refusal_is_logged_once(world: World) -> None:
    """A push that would be refused on the assumption is checked again, and the second refusal counts."""
    await behind(world, world.push({"title": "One"}))
    reads = asked(world)
    with pytest.raises(InvalidPayload):
        await world.services.receiver.receive(world.push({"title": 5}))
    assert len(reads) == 1
    assert [entry.status for entry in await world.entries()] == ["rejected", "applied"]


async def test_a_replay_is_one_also_if_a_plugin_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of its body counts, and it is no fault of the server in the chain: its source pays for it."""

    def broken(*_: Any) -> Any:
        raise PluginFailed("crm_lone", "split", "It broke.")

    await world.services.receiver.receive(world.push({"title": "One"}))
    world.serial = count(1)
    monkeypatch.setattr(type(world.services.registry.calls), "split", broken)
    with pytest.raises(ReplayedNonce):
        await world.services.receiver.receive(world.push({"title": "One"}))
    replay, first = await world.entries()
    assert (replay.seq, replay.error_code, replay.payload_version, first.seq) == (None, "replayed_nonce", None, 1)


async def test_a_replay_that_was_read_is_logged_as_if_it_was_not(world: World) -> None:
    """Not even with its hash, where its type may have secrets: its nonce comes before its body."""
    await behind(world, world.push({"branding": {"title": "One"}}, kind="combined"))
    world.serial = count(1)
    with pytest.raises(ReplayedNonce):
        await world.services.receiver.receive(world.push({"branding": {"title": "One"}}, kind="combined"))
    replay, first = await world.entries()
    assert first.payload_sha256 is not None
    assert (replay.payload_version, replay.mode, replay.payload_sha256) == (None, None, None)


async def test_a_replay_of_a_refused_push_writes_nothing(world: World) -> None:
    """It is found by reading, as on a full disk."""
    push = world.push(raw=b"{")
    with pytest.raises(MalformedJson):
        await world.services.receiver.receive(push)
    await world.services.views.of("northwind")
    world.backend.before = StorageFull("The disk is full.")
    with pytest.raises(ReplayedNonce):
        await world.services.receiver.receive(push)


async def test_a_push_to_a_tenant_that_was_removed_is_unverified(world: World) -> None:
    """Its source pays for it, as for any push to a tenant that does not exist."""
    await world.services.receiver.receive(world.push({"title": "One"}))
    await world.backend.remove("northwind")
    noted = list[Any]()
    world.backend.note = lambda _, entry: noted.append(entry)  # type: ignore[method-assign]
    with pytest.raises(UnknownTenant):
        await world.services.receiver.receive(world.push({"title": "Two"}))
    assert [(entry.status, entry.error_code) for entry in noted] == [("rejected", "unknown_tenant")]

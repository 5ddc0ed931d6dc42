"""Decisions in the log and in the answer, repeats, and signed health."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm_core.errors import ReplayedNonce
from sync_world import World


async def test_an_applied_push_is_logged_with_its_revision(world: World) -> None:
    """The entry has the revision and the number of changes; a preview has no revision, and changes nothing."""
    receiver = world.services.receiver
    preview = await receiver.receive(world.push({"title": "T"}, mode="preview"))
    applied = await receiver.receive(world.push({"title": "T", "login_message": "Hello"}))
    newest, first = await world.entries()
    assert (preview.status, preview.revision, preview.applied_at) == ("previewed", None, None)  # type: ignore[union-attr]
    assert (first.status, first.mode, first.revision, first.changes_count) == ("previewed", "preview", None, 1)
    assert (applied.status, applied.revision) == ("applied", 1)  # type: ignore[union-attr]
    assert (newest.status, newest.revision, newest.changes_count) == ("applied", 1, 2)
    assert (await world.services.views.of("northwind")).revision == 1


async def test_a_repeat_is_accepted_where_the_roster_says_so(world: World, tmp_path: Path) -> None:
    """It is answered with its original and changes nothing."""
    keys = tmp_path / "config/keys.yaml"
    keys.write_text(keys.read_text().replace("northwind: {", "northwind: {repeats: accept, "))
    receiver, push = world.services.receiver, world.push({"title": "T"})
    applied = await receiver.receive(push)
    repeat = await receiver.receive(push)
    assert (repeat.status, repeat.original["request_id"]) == ("already_applied", push.request_id)  # type: ignore[union-attr]
    assert (await world.services.views.of("northwind")).revision == applied.revision  # type: ignore[union-attr]


async def test_a_repeat_is_a_replay_elsewhere(world: World) -> None:
    """By default the second request is refused, with the first use of its nonce."""
    push = world.push({"title": "T"})
    await world.services.receiver.receive(push)
    with pytest.raises(ReplayedNonce) as caught:
        await world.services.receiver.receive(push)
    assert caught.value.evidence["original"]["request_id"] == push.request_id


async def test_a_nonce_of_health_is_used_once_unless_it_went_unanswered(world: World) -> None:
    """A second request is refused with the first; one that a fault left unanswered may be sent again."""
    receiver, push = world.services.receiver, world.push(kind="health", raw=b"")
    attempt = await receiver.verify_health(push)
    with pytest.raises(ReplayedNonce) as caught:
        await receiver.verify_health(push)
    assert caught.value.evidence["original"] == {
        "request_id": push.request_id, "received_at": "2026-11-24T02:00:00.000Z", "status": "health", "version": None,
    }  # fmt: skip
    receiver.unanswered_health(attempt)
    receiver.unanswered_health(attempt)  # forgetting it twice is no error
    await receiver.verify_health(push)


async def test_the_nonces_of_health_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the oldest is dropped, and only the oldest."""
    monkeypatch.setattr("crm_core.sync.nonces._LIMIT", 2)
    receiver = world.services.receiver
    first, second, third = (world.push(kind="health", raw=b"") for _ in range(3))
    for push in (first, second, third):
        await receiver.verify_health(push)
    for push in (second, third):
        with pytest.raises(ReplayedNonce):
            await receiver.verify_health(push)
    await receiver.verify_health(first)

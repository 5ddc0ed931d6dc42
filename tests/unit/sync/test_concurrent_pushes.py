"""Pushes that meet others: one that was applied meanwhile, the store's own conflicts, and long bodies."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from traceback import walk_tb
from typing import Any

import msgspec
import pytest

from crm_core.errors import DuplicatePayload, InvalidPayload, ReplayedNonce, StaleVersion, StorageUnavailable
from crm_core.plugin.storage import Unit
from sync_world import World, overtaken

Worlds = Callable[..., Awaitable[World]]
INLINE = 16 * 1024
VALIDATOR = """
import threading
from crm_core.errors import Finding
from crm_core.plugin import hookimpl

@hookimpl
def crm_validate_payload(section, part, context):
    return [Finding("", "thread", threading.current_thread().name, warning=True)]
"""


def meanwhile(world: World, *pushes: Any) -> None:
    """Have these pushes applied just before the next commit."""
    commit, waiting = world.backend.commit, list(pushes)

    async def overtaking(tenant: str, unit: Unit) -> Any:
        while waiting:
            with suppress(InvalidPayload):
                await world.services.receiver.receive(waiting.pop(0))
        return await commit(tenant, unit)

    world.backend.commit = overtaking  # type: ignore[method-assign]


async def test_a_push_is_checked_again_after_another_change(world: World) -> None:
    """A change in the meantime is no failure, until there were a hundred since the store was read."""
    units = overtaken(world, rounds=99)
    assert (await world.services.receiver.receive(world.push({"title": "T"}))).status == "applied"
    assert len(units) == 100
    units, push = overtaken(world, rounds=101), world.push({"title": "U"})
    with pytest.raises(StorageUnavailable) as refused:
        await world.services.receiver.receive(push)
    assert refused.value.detail == "Too many pushes at the same time. Send this one again."
    assert (len(units), refused.value.retry_after) == (101, 1)
    assert (await world.services.receiver.receive(push)).status == "applied"


async def test_a_push_is_applied_to_what_another_one_left(world: World) -> None:
    """A merge that another push overtook keeps what that one changed."""
    first = world.push({"login_message": "Hello"}, strategy="merge")
    meanwhile(world, first)
    receipt: Any = await world.services.receiver.receive(world.push({"title": "T"}, strategy="merge"))
    assert ([change.pointer for change in receipt.changes], receipt.revision) == (["/branding/title"], 2)
    assert (await world.services.views.of("northwind")).sections["branding"].data == {
        "title": "T", "login_message": "Hello"
    }  # fmt: skip


async def test_a_newer_push_overtakes_an_older_one(world: World) -> None:
    """The older version is stale by then."""
    older, newer = world.push({"title": "Older"}), world.push({"title": "Newer"})
    meanwhile(world, newer)
    with pytest.raises(StaleVersion):
        await world.services.receiver.receive(older)


async def test_a_preview_is_never_taken_for_the_workspace(world: World) -> None:
    """Not even if another process has applied a push meanwhile, which made the revision that the preview shows."""
    push, commit = world.push({"title": "Applied"}), world.backend.commit

    async def overtaking(tenant: str, unit: Unit) -> Any:
        world.backend.commit = commit  # type: ignore[method-assign]
        await world.services.receiver.receive(push)
        world.services.views.forget(tenant)  # as it was another process
        return await commit(tenant, unit)

    world.backend.commit = overtaking  # type: ignore[method-assign]
    receipt = await world.services.receiver.receive(world.push({"title": "Previewed"}, mode="preview"))
    assert receipt.status == "previewed"
    assert (await world.services.views.of("northwind")).sections["branding"].data == {"title": "Applied"}


async def test_the_same_payload_is_applied_once(world: World) -> None:
    """Of two requests with one body at the same moment the second is a duplicate, and of one request a replay."""
    push = world.push({"title": "T"})
    twin = world.push(raw=await push.read_body())
    meanwhile(world, twin)
    with pytest.raises(DuplicatePayload) as duplicate:
        await world.services.receiver.receive(push)
    assert duplicate.value.evidence["original"]["request_id"] == twin.request_id
    push = world.push({"title": "U"})
    meanwhile(world, msgspec.structs.replace(push, request_id="twin"))
    with pytest.raises(ReplayedNonce) as replayed:
        await world.services.receiver.receive(push)
    assert replayed.value.evidence["original"]["request_id"] == "twin"


async def test_the_twin_of_a_refused_push_is_a_replay(world: World) -> None:
    """Whichever of the two is logged first has used the nonce."""
    push = world.push({"title": 5})
    meanwhile(world, msgspec.structs.replace(push, request_id="twin"))
    with pytest.raises(ReplayedNonce) as replayed:
        await world.services.receiver.receive(push)
    assert replayed.value.evidence["original"]["request_id"] == "twin"
    assert [(entry.request_id, entry.seq) for entry in await world.entries()] == [(push.request_id, None), ("twin", 1)]


async def test_the_twin_of_a_push_is_answered_where_the_roster_accepts_repeats(worlds: Worlds) -> None:
    """Whichever of the two is committed first is the original."""
    world = await worlds(tenant=", repeats: accept")
    push = world.push({"title": "T"})
    meanwhile(world, msgspec.structs.replace(push, request_id="twin"))
    answer: Any = await world.services.receiver.receive(push)
    assert (answer.status, answer.request_id, answer.original["request_id"]) == (
        "already_applied", push.request_id, "twin"
    )  # fmt: skip


@pytest.mark.parametrize(("length", "apart"), [(INLINE, False), (INLINE + 1, True)])
async def test_a_long_body_is_checked_in_a_thread(worlds: Worlds, *, length: int, apart: bool) -> None:
    """Its plugins may need long for it; a body of up to 16 KiB is checked without one."""
    world = await worlds(plugin=VALIDATOR)
    body = await world.push({"title": "T"}).read_body()
    push = world.push(raw=body + b" " * (length - len(body)))
    receipt: Any = await world.services.receiver.receive(push)
    (name,) = [one["message"] for one in receipt.warnings if one["code"] == "thread"]
    assert (name != threading.current_thread().name) is apart


async def test_a_long_body_is_refused_as_a_short_one(world: World) -> None:
    """The refusal is logged with its nonce, and lists what is wrong."""
    body = await world.push({"title": 5}).read_body()
    push = world.push(raw=body + b" " * INLINE)
    with pytest.raises(InvalidPayload) as refused:
        await world.services.receiver.receive(push)
    assert [finding.pointer for finding in refused.value.errors] == ["/data/title"]
    (entry,) = await world.entries()
    assert (entry.seq, entry.error_code, entry.payload_bytes) == (1, "invalid_payload", len(body) + INLINE)
    frames = [frame for frame, _ in walk_tb(refused.value.__traceback__)]
    checks = [frame.f_locals for frame in frames if frame.f_code.co_filename.endswith("content_checks.py")]
    assert len(checks) > 0
    assert not any(checks)  # what was found is freed in the thread

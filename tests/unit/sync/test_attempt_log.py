"""Attempts whose logging meets a fault: of the store, of the server, of the answer of a commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import msgspec
import pytest

from crm_core.errors import CrmError, InvalidPayload, NotFound, ReplayedNonce, StorageFull, StorageUnavailable
from crm_core.model.ids import is_id
from crm_core.model.log import LogEntry
from crm_core.plugin.storage import Committed, OutcomeUnknown, Unit
from sync_world import World

Worlds = Callable[..., Awaitable[World]]


def recorded(world: World, fault: Exception | None = None) -> list[tuple[str, Unit]]:
    """The commits from now on; the first one meets the fault."""
    commits: list[tuple[str, Unit]] = []
    commit = world.backend.commit

    async def recording(tenant: str, unit: Unit) -> Any:
        commits.append((tenant, unit))
        if fault is not None and len(commits) == 1:
            raise fault
        return await commit(tenant, unit)

    world.backend.commit = recording  # type: ignore[method-assign]
    return commits


def observed(world: World) -> list[LogEntry]:
    """The entries that observers see from now on."""
    seen: list[LogEntry] = []
    world.services.observers.append(lambda entry, _: seen.append(entry))
    return seen


async def test_a_fault_of_the_server_is_chained_and_uses_no_nonce(world: World) -> None:
    """The failed attempt is a link of the chain if the store works, and the same request may be sent again."""
    seen, commits, push = observed(world), recorded(world, ZeroDivisionError()), world.push({"title": "T"})
    with pytest.raises(ZeroDivisionError):
        await world.services.receiver.receive(push)
    (entry,) = await world.entries()
    assert (entry.seq, entry.status, entry.error_code) == (1, "failed", "internal_error")
    tenant, unit = commits[1]
    assert (tenant, unit.now, unit.claims) == ("northwind", int(world.clock().timestamp()), ())
    assert [one.id for one in seen] == [entry.id]
    assert (await world.services.receiver.receive(push)).status == "applied"
    newest, *_ = await world.entries()
    assert [(one.id, one.status) for one in seen[1:]] == [(newest.id, "applied")]


@pytest.mark.parametrize("fault", [StorageFull("full"), StorageUnavailable("away")])
async def test_a_store_that_did_not_write_is_not_asked_again(world: World, fault: CrmError) -> None:
    """The failed attempt goes into the ring instead."""
    seen, commits = observed(world), recorded(world, fault)
    with pytest.raises(type(fault)):
        await world.services.receiver.receive(world.push({"title": "T"}))
    (entry,) = await world.entries()
    assert (entry.seq, len(commits), [one.id for one in seen]) == (None, 1, [entry.id])


async def test_a_commit_that_is_not_found_is_a_fault_of_the_store(world: World) -> None:
    """The sender learns that the same request may be sent again, and when."""
    world.backend.before = OutcomeUnknown()
    with pytest.raises(StorageUnavailable) as refused:
        await world.services.receiver.receive(world.push({"title": "T"}))
    assert refused.value.detail == "The store did not answer. Send the same request again."
    assert refused.value.retry_after == 1


async def test_a_commit_that_is_found_counts_as_answered(world: World) -> None:
    """It has the head of the log and the revision that the store has now."""
    log, found, receiver = world.services.attempt_log, list[Committed | None](), world.services.receiver
    write = log.write

    async def writing(*unit: Any) -> Committed | None:
        found.append(await write(*unit))
        return found[-1]

    log.write = writing  # type: ignore[method-assign]
    await receiver.receive(world.push({"title": "T"}))
    world.backend.after = OutcomeUnknown()
    await receiver.receive(world.push({"title": "U"}))
    view = await world.backend.view("northwind", None)
    assert found[1] == Committed(view.seq, view.revision, view.head)
    assert (view.revision, view.head.seq) == (2, 2)


async def test_a_repeat_has_the_status_of_its_original(worlds: Worlds) -> None:
    """Its entry says which request it repeats; a repeat of a preview or of a refused push is a replay."""
    world = await worlds(tenant=", repeats: accept")
    seen, receiver = observed(world), world.services.receiver
    for status in ("applied", "unchanged"):
        push = world.push({"title": "T"})
        assert (await receiver.receive(push)).status == status
        answer: Any = await receiver.receive(push)
        assert (answer.status, answer.original["status"]) == ("already_applied", status)
        assert (seen[-1].status, seen[-1].error_code, seen[-1].error_message) == (
            status, None, f"A repeat of request {push.request_id}, which was accepted; nothing was changed."
        )  # fmt: skip
    preview, refused = world.push({"title": "P"}, mode="preview"), world.push({"title": 5})
    await receiver.receive(preview)
    with pytest.raises(InvalidPayload):
        await receiver.receive(refused)
    for push in (preview, refused):
        with pytest.raises(ReplayedNonce):
            await receiver.receive(push)


async def test_a_refusal_is_logged_with_its_findings_and_its_nonce(world: World) -> None:
    """The entry lists what is wrong; the same request again is a replay of the refused one."""
    push, commits = world.push({"title": 5}), recorded(world)
    with pytest.raises(InvalidPayload):
        await world.services.receiver.receive(push)
    (entry,) = await world.entries()
    assert [(one.pointer, one.code) for one in entry.errors] == [("/data/title", "wrong_type")]
    assert [unit.now for _, unit in commits] == [int(world.clock().timestamp())]
    with pytest.raises(ReplayedNonce) as replayed:
        await world.services.receiver.receive(push)
    assert replayed.value.evidence["original"] == {
        "request_id": push.request_id, "received_at": entry.received_at, "status": "rejected", "version": 1
    }  # fmt: skip


async def test_a_replay_is_refused_without_a_word_about_its_body(world: World) -> None:
    """Its entry has nothing of the body; its refusal has the first use with the version."""
    push = world.push({"title": "T"}, version=7)
    await world.services.receiver.receive(push)
    with pytest.raises(ReplayedNonce) as replayed:
        await world.services.receiver.receive(push)
    assert replayed.value.evidence["original"]["version"] == 7
    newest, _ = await world.entries()
    assert (newest.error_code, newest.payload_version, newest.mode) == ("replayed_nonce", None, None)


async def test_a_repeat_to_another_address_is_a_replay(worlds: Worlds) -> None:
    """The body may be the same, but the original was for another type."""
    world = await worlds(tenant=", repeats: accept")
    push = world.push({"title": "T"})
    await world.services.receiver.receive(push)
    world.serial = count(1)
    elsewhere = world.push(raw=await push.read_body(), kind="workspace")
    with pytest.raises(ReplayedNonce):
        await world.services.receiver.receive(elsewhere)


async def test_past_the_limit_of_a_source_one_entry_counts_its_attempts(worlds: Worlds) -> None:
    """It says how the last one failed; another source is not limited, another tenant has its own entry."""
    world = await worlds(sync="unverified_per_minute: 2")
    seen, forged = observed(world), (2, b"f" * 32)
    await world.backend.create("contoso")

    async def refused(**members: Any) -> CrmError:
        push = msgspec.structs.replace(world.push({"title": "T"}, key=forged), **members)
        with pytest.raises(CrmError) as error:
            await world.services.receiver.receive(push)
        return error.value

    assert [(await refused()).code for _ in range(2)] == ["signature_invalid"] * 2
    world.clock.forward(20)
    limited = [await refused(), await refused()]
    world.clock.forward(3)
    limited.append(await refused(payload_type="nope"))
    text = "Too many attempts from this address failed verification. Wait, then send the request again."
    assert [(one.code, one.detail, one.retry_after) for one in limited] == [
        ("rate_limited", text, 41), ("rate_limited", text, 41), ("rate_limited", text, 38)
    ]  # fmt: skip
    newest, *others = await world.entries()
    assert (newest.count, newest.status, newest.error_code, newest.payload_type) == (
        3,
        "rejected",
        limited[0].code,
        "nope",
    )
    assert newest.error_message == f"{text} The last one failed with unknown_payload_type."
    assert [one.count for one in seen[-3:]] == [1, 2, 3]
    assert ({one.id for one in seen[-3:]}, [one.count for one in others]) == ({newest.id}, [1, 1])
    assert (await refused(source="192.0.2.2")).code == "signature_invalid"
    assert (await refused(tenant="contoso")).code == "rate_limited"
    assert (seen[-1].tenant, seen[-1].count, seen[-1].id != newest.id) == ("contoso", 1, True)


async def test_a_fault_before_a_push_is_verified_counts_against_no_source(worlds: Worlds) -> None:
    """Its entry says that the server failed; a request that fails the same way may come any number of times."""
    world = await worlds(sync="unverified_per_minute: 2")
    seen = observed(world)
    await world.backend.close()
    for _ in range(4):
        with pytest.raises(StorageUnavailable):
            await world.services.receiver.receive(world.push({"title": "T"}))
    assert [(one.status, one.error_code, one.count) for one in seen] == [("failed", "storage_unavailable", 1)] * 4
    assert all(is_id(one.id) for one in seen)
    assert len({one.id for one in seen}) == 4


async def test_the_limit_of_pushes_for_no_tenant_is_logged_when_it_is_reached(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Its line is written with the first attempt past it."""
    for _ in range(61):
        world.services.attempt_log.misdirected(NotFound("Gone."), source="192.0.2.9")
    codes = [record.members["code"] for record in caplog.records if record.message == "push_astray"]
    assert codes == [*["not_found"] * 60, "rate_limited"]

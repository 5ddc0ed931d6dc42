"""Receiving during faults of the store, of plugins and of the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from crm_core.errors import (
    CrmError,
    DuplicatePayload,
    InvalidPayload,
    ReplayedNonce,
    SourceNotAllowed,
    StorageFull,
    StorageUnavailable,
    TimestampOutOfWindow,
)
from crm_core.plugin.storage import OutcomeUnknown, Unit
from crm_core.sync.sections import SEALED_FOR
from sync_world import SECRET, World, recorded

Worlds = Callable[..., Awaitable[World]]


@pytest.mark.parametrize("fault", [StorageFull("full", retry_after=5), StorageUnavailable("away", retry_after=5)])
async def test_a_store_that_cannot_write_uses_nothing_up(world: World, fault: CrmError) -> None:
    """The fault is raised, the attempt is logged as failed, and the same request is applied once the store works."""
    push = world.push({"title": "T"})
    world.backend.before = fault
    with pytest.raises(type(fault)):
        await world.services.receiver.receive(push)
    (entry,) = await world.entries()
    assert (entry.status, entry.error_code, entry.seq) == ("failed", fault.code, None)
    world.backend.before = None
    assert (await world.services.receiver.receive(push)).status == "applied"


async def test_a_refusal_that_cannot_be_written_is_a_fault(world: World) -> None:
    """A refusal is durable before it is raised; if it cannot be written, the fault is raised instead."""
    push = world.push({"title": 5})
    world.backend.before = StorageFull("full")
    with pytest.raises(StorageFull):
        await world.services.receiver.receive(push)
    world.backend.before = None
    with pytest.raises(InvalidPayload):
        await world.services.receiver.receive(push)
    assert [entry.status for entry in await world.entries()] == ["rejected", "failed"]


async def test_a_commit_whose_answer_was_lost_is_looked_up(world: World) -> None:
    """The commit was made, so the push is answered as applied."""
    world.backend.after = OutcomeUnknown()
    receipt: Any = await world.services.receiver.receive(world.push({"title": "T"}))
    assert (receipt.status, receipt.revision) == ("applied", 1)
    assert receipt.log_head.seq == 1


async def test_a_push_whose_commit_was_lost_may_be_sent_again(world: World) -> None:
    """The commit was not made: StorageUnavailable, and then the same request is applied."""
    push = world.push({"title": "T"})
    world.backend.before = OutcomeUnknown()
    with pytest.raises(StorageUnavailable):
        await world.services.receiver.receive(push)
    world.backend.before = None
    assert (await world.services.receiver.receive(push)).status == "applied"


async def test_an_unexpected_exception_is_logged_as_failed(world: World) -> None:
    """The exception is raised to the caller; the attempt is logged and its nonce stays unused."""
    push = world.push({"title": "T"})
    world.backend.before = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await world.services.receiver.receive(push)
    (entry,) = await world.entries()
    assert (entry.status, entry.error_code) == ("failed", "internal_error")
    world.backend.before = None
    assert (await world.services.receiver.receive(push)).status == "applied"


@pytest.mark.parametrize("moved", [0, 299, 300])
async def test_a_nonce_is_remembered_as_long_as_its_time_is_accepted(world: World, moved: int) -> None:
    """The nonce is refused to the last second of its window."""
    push = world.push({"title": "T"})
    await world.services.receiver.receive(push)
    world.clock.forward(moved)
    with pytest.raises(ReplayedNonce):
        await world.services.receiver.receive(push)


async def test_past_the_window_the_timestamp_is_refused(world: World) -> None:
    """One second after the window the timestamp is refused."""
    push = world.push({"title": "T"})
    await world.services.receiver.receive(push)
    world.clock.forward(301)
    with pytest.raises(TimestampOutOfWindow):
        await world.services.receiver.receive(push)


async def test_a_wider_window_accepts_no_nonce_that_may_have_been_dropped(worlds: Worlds) -> None:
    """After a restart with a larger skew, old requests are still refused."""
    world = await worlds(skew=60)
    push = world.push({"title": "T"}, mode="preview")
    await world.services.receiver.receive(push)
    world.clock.forward(120)
    other = world.push({"title": "U"}, mode="preview")
    await world.services.receiver.receive(other)
    world = await worlds(skew=3600)
    with pytest.raises((TimestampOutOfWindow, ReplayedNonce)):
        await world.services.receiver.receive(push)
    with pytest.raises(ReplayedNonce):
        await world.services.receiver.receive(other)
    assert [entry.seq for entry in await world.entries() if entry.status == "rejected"] == [None, None]


async def test_a_clock_that_steps_back_accepts_no_replay(world: World) -> None:
    """A nonce was dropped after its window; a clock that steps back into it does not make it valid again."""
    push = world.push({"title": "T"}, mode="preview")
    await world.services.receiver.receive(push)
    world.clock.forward(400)
    await world.services.receiver.receive(world.push({"title": "U"}, mode="preview"))
    world.clock.forward(-300)
    with pytest.raises((TimestampOutOfWindow, ReplayedNonce)):
        await world.services.receiver.receive(push)


async def test_a_clock_that_stepped_back_shows_in_health(world: World) -> None:
    """If the log's newest entry is in the future, health is degraded and names the clock."""
    await world.services.receiver.receive(world.push({"title": "T"}))
    assert (await world.services.health.report("northwind"))["status"] == "ok"
    world.clock.forward(-60)
    health = await world.services.health.report("northwind")
    assert health["status"] == "degraded"
    assert "clock" in health["reasons"][0]


async def test_a_clock_that_was_ahead_locks_a_key_version_out_until_it_is_rotated(worlds: Worlds) -> None:
    """Pushes with the key version used meanwhile are refused; refusal and health name the fix, and it works."""
    world = await worlds()
    world.clock.forward(86_400)
    await world.services.receiver.receive(world.push({"title": "T"}))
    world.clock.forward(400)
    await world.services.receiver.receive(world.push({"title": "U"}))
    world.clock.forward(-86_400)
    with pytest.raises(TimestampOutOfWindow) as refused:
        await world.services.receiver.receive(world.push({"title": "V"}))
    assert "crm keys rotate northwind" in refused.value.detail
    assert "0 seconds" not in refused.value.detail
    health = await world.services.health.report("northwind")
    assert (health["status"], "crm keys rotate northwind" in " ".join(health["reasons"])) == ("degraded", True)
    fresh = bytes(range(32, 64))
    world = await worlds(key=f"}}, {{version: 3, secret: 'hex:{fresh.hex()}'")
    assert (await world.services.receiver.receive(world.push({"title": "V"}, key=(3, fresh)))).status == "applied"


async def test_an_applied_payload_is_refused_as_long_as_its_history(world: World) -> None:
    """Also much later, with a new nonce and timestamp."""
    push = world.push({"title": "T"})
    await world.services.receiver.receive(push)
    world.clock.forward(10_000_000)
    with pytest.raises(DuplicatePayload):
        await world.services.receiver.receive(world.push(raw=await push.read_body()))


async def test_secrets_and_payloads_are_known_under_a_rotated_key(worlds: Worlds) -> None:
    """After a rotation of the secret key, stored secrets still open and applied payloads are still refused."""
    world = await worlds()
    smtp = {"host": "smtp.example.com", "port": 587, "security": "tls", "username": "u", "password": "hunter2-hunter2"}
    push = world.push(smtp, kind="smtp")
    await world.services.receiver.receive(push)
    world = await worlds(secrets=("base64:" + "bmV3ZXIx" * 8, SECRET))
    with pytest.raises(DuplicatePayload):
        await world.services.receiver.receive(world.push(raw=await push.read_body(), kind="smtp"))
    merge = world.push({"from_name": "N"}, kind="smtp", strategy="merge", version=99)
    receipt: Any = await world.services.receiver.receive(merge)
    assert [change.pointer for change in receipt.changes] == ["/smtp/from_name"]
    section = (await world.services.views.of("northwind")).sections["smtp"]
    assert world.services.sealer.open(SEALED_FOR, section.sealed["/password"]) == smtp["password"]


async def test_a_nonce_is_claimed_for_as_long_as_its_timestamp_is_accepted(world: World) -> None:
    """The claim of a nonce expires no earlier than the window in which the same request would be timely."""
    units = recorded(world)
    await world.services.receiver.receive(world.push({"title": "T"}))
    (claim,) = [claim for claim in units[0].claims if claim.kind.startswith("nonce:")]
    assert claim.stamp == int(world.clock().timestamp())
    assert claim.expires is not None
    assert claim.expires >= claim.stamp + 300


async def test_a_commit_is_no_answer_to_another_request(world: World) -> None:
    """If the answer of a commit is lost and another request has used the nonce, nothing counts as applied."""
    commit = world.backend.commit

    async def overtaken(tenant: str, unit: Unit) -> Any:
        evidence = unit.claims[0].evidence.replace(b"request-1", b"request-9")
        await commit(
            tenant, msgspec.structs.replace(unit, claims=(msgspec.structs.replace(unit.claims[0], evidence=evidence),))
        )
        raise OutcomeUnknown

    world.backend.commit = overtaken  # type: ignore[method-assign]
    with pytest.raises(StorageUnavailable):
        await world.services.receiver.receive(world.push({"title": "T"}))


async def test_a_payload_is_remembered_while_any_of_its_sections_has_it(worlds: Worlds) -> None:
    """A combined payload that has left the history of one section is still a duplicate by that of another."""
    world = await worlds(sync="history_keep: 1")
    both = {"branding": {"title": "T"}, "workspace": {"locale": "de-DE"}}
    first = world.push(both, kind="combined")
    await world.services.receiver.receive(first)
    for title in ("U", "V"):
        await world.services.receiver.receive(world.push({"title": title}))
    with pytest.raises(DuplicatePayload):
        await world.services.receiver.receive(world.push(kind="combined", raw=await first.read_body()))


@pytest.mark.parametrize(("kind", "body"), [("smtp", b"{"), ("combined", b"{"), ("smtp", b'{"tenant": 5}')])
async def test_no_hash_of_what_may_contain_secrets(world: World, kind: str, body: bytes) -> None:
    """The log shows no hash of a body that cannot be read and may contain a secret, which could be guessed by it."""
    with pytest.raises(CrmError):
        await world.services.receiver.receive(world.push(kind=kind, raw=body))
    (entry,) = await world.entries()
    assert (entry.payload_bytes, entry.payload_sha256) == (len(body), None)


async def test_a_signed_health_request_comes_from_the_keys_networks(worlds: Worlds) -> None:
    """A key that is bound to networks signs no health request from elsewhere."""
    world = await worlds(key=", sources: [198.51.100.0/24]")
    request = world.push(kind="health", raw=b"")
    with pytest.raises(SourceNotAllowed):
        await world.services.receiver.verify_health(request)
    inside = msgspec.structs.replace(world.push(kind="health", raw=b""), source="198.51.100.7")
    await world.services.receiver.verify_health(inside)

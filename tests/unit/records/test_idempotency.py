from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from crm_core.errors import (
    ExternalIdTaken,
    IdempotencyConflict,
    InvalidParameter,
    InvalidRecord,
    NotFound,
    RecordArchived,
    RecordExists,
    RevisionMismatch,
    StorageUnavailable,
)
from crm_core.plugin.storage import OutcomeUnknown
from crm_core.records.batch import Batch
from crm_core.records.idempotency import IdempotentRequest, ReplayedRefusal, WriteResult, idempotent_request
from crm_core.records.preconditions import UNCONDITIONAL, Preconditions
from records_world import READER, TOKEN, World

PATH = "/i/eu1/t/north/api/v1/customers"


def asked(key: str = "k", sent: bytes = b"body") -> IdempotentRequest:
    return idempotent_request(key, TOKEN, PATH, sent)


async def create(world: World, data: Any, wanted: IdempotentRequest | None = None) -> WriteResult:
    return await world.records.writes.create(world.access(), data, wanted or asked())


def test_a_key_is_of_caller_path_and_text() -> None:
    """Two requests share a claim only if all three agree; the digest identifies what was sent."""
    first = asked()
    assert asked().claim_key == first.claim_key
    assert asked(sent=b"other").claim_key == first.claim_key
    assert asked(sent=b"other").digest != first.digest
    others = [
        idempotent_request("k", READER, PATH, b""),
        idempotent_request("k", TOKEN, PATH + "/batch", b""),
        asked("K"),
    ]
    assert all(other is not None and other.claim_key != first.claim_key for other in others)
    for unusable in ("", "a b", "ä", "x" * 256):
        with pytest.raises(InvalidParameter):
            asked(unusable)


async def test_the_first_answer_is_given_again(world: World) -> None:
    """One record, one commit; another body with the key is a conflict."""
    first = await create(world, {"name": "Ada"})
    again = await create(world, {"name": "Ada"})
    assert (again.body, again.status, again.id, again.revision) == (first.body, 201, first.id, 1)
    assert (first.replayed, again.replayed) == (False, True)
    with pytest.raises(IdempotencyConflict):
        await create(world, {"name": "Bob"}, asked(sent=b"other"))
    assert len(await world.ids()) == 1


async def test_a_change_is_made_once(world: World) -> None:
    """A repeat of a patch gets the first answer, also after others changed the record or it changed nothing."""
    made, conditions = await create(world, {"name": "Ada"}, asked("make")), Preconditions('"1"')

    async def change(patch: Any, key: str, conditions: Preconditions = UNCONDITIONAL) -> WriteResult:
        return await world.records.writes.update(world.access(), made.id, patch, conditions, asked(key))

    first = await change({"name": "Bob"}, "change", conditions)
    same = await change({"name": "Bob"}, "same")
    assert (first.revision, same.revision) == (2, 2)
    await change({"name": "Cy"}, "later")
    for key, before in (("change", first), ("same", same)):
        again = await change({"name": "Bob"}, key, conditions)
        assert (again.body, again.status, again.replayed) == (before.body, 200, True)
    assert (await world.records.reads.detail(world.access(), made.id)).revision == 3


async def test_an_answer_is_stored_for_a_day(world: World) -> None:
    """After 24 hours the key is free again."""
    first = await create(world, {"name": "Ada"})
    world.clock.forward(hours=23, minutes=59)
    assert (await create(world, {"name": "Ada"})).id == first.id
    world.clock.forward(minutes=2)
    assert (await create(world, {"name": "Ada"})).id != first.id


async def test_a_refusal_of_the_record_is_an_answer_too(world: World) -> None:
    """It is given again even where the cause has gone, until the key is free."""
    await world.create(external_id="x-1")
    with pytest.raises(ExternalIdTaken):
        await create(world, {"name": "Ada", "external_id": "x-1"})
    await world.records.writes.update(world.access(), (await world.ids())[0], {"external_id": None}, UNCONDITIONAL)
    with pytest.raises(ReplayedRefusal) as replayed:
        await create(world, {"name": "Ada", "external_id": "x-1"})
    assert isinstance(replayed.value.error, ExternalIdTaken)
    assert replayed.value.error.errors[0].pointer == "/external_id"


async def test_every_refusal_of_the_request_is_an_answer(world: World) -> None:
    """Also a missing record, an archived one and a condition that was not met: they come again until an erase."""
    made = await world.create()
    missing = made["id"][:-3] + "fff"
    writes, archive = world.records.writes, world.records.archive

    async def change(id_: str, key: str, conditions: Preconditions = UNCONDITIONAL) -> WriteResult:
        return await writes.update(world.access(), id_, {"name": "B"}, conditions, asked(key))

    async def repeated(id_: str, key: str, conditions: Preconditions = UNCONDITIONAL) -> Any:
        with pytest.raises(ReplayedRefusal) as replayed:
            await change(id_, key, conditions)
        return replayed.value.error

    with pytest.raises(NotFound):
        await change(missing, "missing")
    with pytest.raises(RevisionMismatch) as stale:
        await change(made["id"], "stale", Preconditions('"7"'))
    with pytest.raises(RecordExists):
        await change(made["id"], "exists", Preconditions(None, "*"))
    await archive.archive(world.access(), made["id"], UNCONDITIONAL)
    with pytest.raises(RecordArchived):
        await change(made["id"], "archived")
    await archive.restore(world.access(), made["id"], UNCONDITIONAL)

    again = [await repeated(missing, "missing"), *[await repeated(made["id"], key) for key in ("exists", "archived")]]
    assert [type(error) for error in again] == [NotFound, RecordExists, RecordArchived]
    assert (await repeated(made["id"], "stale", Preconditions('"3"'))).evidence == stale.value.evidence
    eraser = world.access(caller=msgspec.structs.replace(TOKEN, scopes=TOKEN.scopes | {"customers:erase"}))
    await world.records.erasure.erase(eraser, made["id"], UNCONDITIONAL, cascade=False)
    for key in ("stale", "exists", "archived"):
        with pytest.raises(NotFound, match="erased"):
            await change(made["id"], key)


async def test_a_restore_is_made_once(world: World) -> None:
    """A repeat gets the first answer, also after another change; If-Match is not checked again."""
    made, archive = await world.create(), world.records.archive
    await archive.archive(world.access(), made["id"], UNCONDITIONAL)

    async def restore(key: str, match: str | None = None) -> WriteResult:
        return await archive.restore(world.access(), made["id"], Preconditions(match), asked(key))

    first, live = await restore("r", '"2"'), await restore("live")
    assert (first.revision, live.revision, first.replayed, live.replayed) == (3, 3, False, False)
    await world.records.writes.update(world.access(), made["id"], {"name": "B"}, UNCONDITIONAL)
    for key, before in (("r", first), ("live", live)):
        again = await restore(key, '"2"')
        assert (again.body, again.status, again.replayed) == (before.body, 200, True)
    with pytest.raises(RevisionMismatch):
        await restore("stale", '"2"')
    with pytest.raises(ReplayedRefusal):
        await restore("stale", '"4"')


async def test_an_internal_failure_is_not_cached(world: World) -> None:
    """After a 5xx the same request may come again and is done."""
    commit = world.backend.commit

    async def failing(*_: Any) -> Any:
        world.backend.commit = commit  # type: ignore[method-assign]  # once
        raise StorageUnavailable("No.")

    world.backend.commit = failing  # type: ignore[method-assign]  # the disk fails once
    with pytest.raises(StorageUnavailable):
        await create(world, {"name": "Ada"})
    assert (await create(world, {"name": "Ada"})).replayed is False


async def test_a_repeat_waits_for_the_first(world: World) -> None:
    """Of twenty at the same time one is done and nineteen get its answer; no lock is left behind."""
    answers = await asyncio.gather(*(create(world, {"name": "Ada"}) for _ in range(20)))
    assert len({answer.body for answer in answers}) == 1
    assert sum(answer.replayed for answer in answers) == 19


async def test_another_process_that_was_first_is_heard(world: World) -> None:
    """Two processes on one store do not know each other's queue; the claim in the commit decides."""
    other = world.opened(b"a secret key of the instance")
    both = [world.records, other]
    answers = await asyncio.gather(
        *(both[n % 2].writes.create(world.access(), {"name": "Ada"}, asked()) for n in range(10))
    )
    assert len({answer.id for answer in answers}) == 1
    refused = await asyncio.gather(
        *(both[n % 2].writes.create(world.access(), {"name": ""}, asked("bad")) for n in range(4)),
        return_exceptions=True,
    )
    assert all(isinstance(one, InvalidRecord | ReplayedRefusal) for one in refused)


async def test_what_another_process_did_is_no_refusal_of_its_repeat(world: World) -> None:
    """A repeat that is refused only because the first request has changed the record meanwhile gets its answer."""
    made, other = await create(world, {"name": "Ada"}, asked("make")), world.opened(b"a secret key of the instance")

    async def change(records: Any) -> WriteResult:
        access, conditions = world.access(), Preconditions('"1"')
        answer: WriteResult = await records.writes.update(access, made.id, {"name": "Bob"}, conditions, asked("change"))
        return answer

    claim, done = world.backend.claim, list[WriteResult]()

    async def slow(*place: str) -> bytes | None:
        found = await claim(*place)
        world.backend.claim = claim  # type: ignore[method-assign]  # once
        done.append(await change(other))
        return found

    world.backend.claim = slow  # type: ignore[method-assign]  # the other process commits after it was read
    again = await change(world.records)
    assert (again.body, again.replayed) == (done[0].body, True)


async def test_a_refusal_that_may_not_be_stored_is_asked_for_again(world: World) -> None:
    """If the connection breaks while a refusal is stored, the answer says that the storage failed."""

    async def broken(*_: Any) -> Any:
        raise OutcomeUnknown

    world.backend.commit = broken  # type: ignore[method-assign]  # the connection breaks
    with pytest.raises(StorageUnavailable):
        await create(world, {"name": ""})


async def test_a_first_request_that_gave_up_still_counts(world: World) -> None:
    """A client that went away while its record was on the way to the disk gets that record when it comes back."""
    commit, begun = world.backend.commit, asyncio.Event()

    async def watched(tenant: str, unit: Any) -> Any:
        world.backend.commit = commit  # type: ignore[method-assign]  # once
        begun.set()
        return await commit(tenant, unit)

    world.backend.commit = watched  # type: ignore[method-assign]  # signals when the commit has begun
    first = asyncio.create_task(create(world, {"name": "Ada"}))
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await create(world, {"name": "Ada"})).replayed is True
    assert len(await world.ids()) == 1


async def test_a_batch_is_done_once(world: World) -> None:
    """Its results come again as they were, also those of refused items, and also where nothing was written."""

    async def run(items: list[Any], key: str) -> WriteResult:
        wanted = asked(key, repr(items).encode())
        batch = Batch(data={"items": items}, atomic=False, request_id="r1", instance="eu1", idempotent=wanted)
        return await world.records.batches.run(world.access(), batch)

    first = await run([{"name": "Ada"}, {"name": ""}], "k")
    assert (await run([{"name": "Ada"}, {"name": ""}], "k")).body == first.body
    assert len(await world.ids()) == 1
    assert (await run([{"name": ""}], "bad")).replayed is False
    assert (await run([{"name": ""}], "bad")).replayed is True

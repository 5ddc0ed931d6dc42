"""Writing one record: create, update, put by the caller's own id. Each is one durable unit."""

from __future__ import annotations

from typing import Any

import msgspec

from crm_core.errors import Finding, InvalidRecord, NotFound, RevisionMismatch
from crm_core.model.ids import Ids
from crm_core.model.times import to_wire
from crm_core.plugin.storage import (
    Conflict,
    Document,
    DocumentAt,
    Expectation,
    IndexFree,
    Put,
    Unit,
    WorkspaceAt,
)
from crm_core.records.guarded_store import (
    ATTEMPTS,
    Call,
    GuardedStore,
    busy,
    external_id_taken,
    limit_reached,
    notices,
    room,
)
from crm_core.records.idempotency import Idempotency, Once, WriteAnswer, claim_of
from crm_core.records.shape import EXTERNAL_ID, Content, Shape, Stamps, Stored, etag
from crm_core.workspace import Workspace

CREATED, DONE = 201, 200


class RecordWrite(msgspec.Struct, frozen=True):
    """A write of one record as it goes into a unit: the put and what it must find."""

    put: Put
    expect: tuple[Expectation, ...]
    revision: int
    creates: bool

    @property
    def written(self) -> WriteAnswer:
        """The answer once it is durable."""
        return WriteAnswer(CREATED if self.creates else DONE, self.put.body, self.put.id, self.revision)


class Writes:
    """Writes of all record types."""

    def __init__(self, ground: GuardedStore, ids: Ids, idempotency: Idempotency) -> None:
        self._ground = ground
        self._ids = ids
        self._idempotency = idempotency

    async def create(self, call: Call, data: Any, asked: Once | None) -> WriteAnswer:
        """Make a record. Raises AccessError, InvalidRecord, ExternalIdTaken, LimitReached, Replayed."""
        if asked is None:
            return await self._create(call, data, None)
        await self._ground.allowed(call, "create", writes=True)
        return await self._idempotency.run(call.tenant, asked, lambda: self._create(call, data, asked))

    async def _create(self, call: Call, data: Any, asked: Once | None) -> WriteAnswer:
        content: Content | None = None
        for _ in range(ATTEMPTS):
            workspace = await self._ground.allowed(call, "create", writes=True)
            content = content or await self._ground.judged(call, data)
            step = self.creation(call, content)
            conflict = await self._commit(call, workspace, step, asked)
            if conflict is None:
                return step.written
            if conflict.what == "index":
                raise external_id_taken(content.external_id)
        raise busy()

    async def update(
        self,
        call: Call,
        id: str,  # noqa: A002 -- the wire's word
        patch: Any,
        if_match: str | None,
    ) -> WriteAnswer:
        """Change a record by a merge patch; one that changes nothing writes nothing.

        Raises AccessError, NotFound, RevisionMismatch, InvalidRecord, ExternalIdTaken.
        """
        for _ in range(ATTEMPTS):
            workspace = await self._ground.allowed(call, "update", writes=True)
            read = await self._ground.backend.get(call.tenant, call.shape.collection, id)
            if read.revision > workspace.revision:
                continue
            if read.document is None:
                raise NotFound("There is no record with this id.")
            require_match(if_match, read.document)
            stored = call.shape.opened(read.document.body)
            content = await self._ground.judged(call, patch, stored.writable)
            step = self.change(call, content, stored)
            if step is None:
                return unchanged(read.document)
            conflict = await self._commit(call, workspace, step)
            if conflict is None:
                return step.written
            if conflict.what == "index":
                raise external_id_taken(content.external_id)
        raise busy()

    async def put(self, call: Call, external_id: str, data: Any, if_match: str | None) -> WriteAnswer:
        """Create or change the record with the caller's own id; members left out stay. Raises as create and update."""
        for _ in range(ATTEMPTS):
            workspace = await self._ground.allowed_either(call)
            read = await self._ground.backend.find(call.tenant, call.shape.collection, EXTERNAL_ID, external_id)
            if read.revision > workspace.revision:
                continue
            action = "create" if read.document is None else "update"
            await self._ground.allowed(call, action, writes=True)
            require_match(if_match, read.document)
            step = await self._put_step(call, _named(data, external_id), read.document)
            if step is None:
                assert read.document is not None
                return unchanged(read.document)
            if await self._commit(call, workspace, step) is None:
                return step.written
        raise busy()

    async def _put_step(self, call: Call, data: Any, found: Document | None) -> RecordWrite | None:
        if found is None:
            return self.creation(call, await self._ground.judged(call, data))
        stored = call.shape.opened(found.body)
        return self.change(call, await self._ground.judged(call, data, stored.writable), stored)

    def creation(self, call: Call, content: Content) -> RecordWrite:
        """The step that makes a record."""
        id_, now = self._ids.new(), to_wire(self._ground.now())
        put = call.shape.put(id_, content, Stamps(now, now, call.caller.actor, call.caller.actor, 1))
        expect = (DocumentAt(call.shape.collection, id_, 0), *_free(call.shape, content, id_))
        return RecordWrite(put, expect, 1, creates=True)

    def change(self, call: Call, content: Content, stored: Stored) -> RecordWrite | None:
        """The step that changes a record; None where nothing would change."""
        before = stored.stamps
        if call.shape.body(stored.id, content, before) == stored.body:
            return None
        # A clock that stepped back must not hide the change from those who ask what was updated since.
        now = max(to_wire(self._ground.now()), before.updated_at)
        stamps = Stamps(before.created_at, now, before.created_by, call.caller.actor, before.revision + 1)
        put = call.shape.put(stored.id, content, stamps)
        expect: tuple[Expectation, ...] = (DocumentAt(call.shape.collection, stored.id, before.revision),)
        if content.external_id != stored.writable[EXTERNAL_ID]:
            expect += _free(call.shape, content, stored.id)
        return RecordWrite(put, expect, stamps.revision, creates=False)

    async def _commit(
        self, call: Call, workspace: Workspace, step: RecordWrite, asked: Once | None = None
    ) -> Conflict | None:
        """Make a step durable. Raises LimitReached; a conflict that another attempt may solve is returned."""
        now = int(self._ground.now().timestamp())
        unit = Unit(
            now=now,
            expect=(
                WorkspaceAt(workspace.revision),
                *step.expect,
                *(room(call, workspace) if step.creates else ()),
            ),
            claims=claim_of(asked, now, step.written),
            puts=(step.put,),
            notices=notices(call.shape, [(step.put.id, step.revision)]),
        )
        outcome = await self._ground.commit(call.tenant, unit)
        if not isinstance(outcome, Conflict):
            return None
        if outcome.what == "count":
            raise limit_reached(call, workspace)
        return outcome


def require_match(if_match: str | None, document: Document | None) -> None:
    """Raise RevisionMismatch unless the If-Match field names the record as it is (RFC 9110, section 13.1.1)."""
    if if_match is None:
        return
    if document is not None:
        current = etag(document.revision, document.body)
        if if_match.strip() == "*" or current in (each.strip() for each in if_match.split(",")):
            return
        told_how = "The record has changed since; read it, merge, and send its new ETag."
        raise RevisionMismatch(told_how, current={"revision": document.revision, "etag": current})
    raise RevisionMismatch("There is no such record, so no ETag of it can match.", current=None)


def unchanged(document: Document) -> WriteAnswer:
    """The answer where there was nothing to do."""
    return WriteAnswer(DONE, document.body, document.id, document.revision)


def _free(shape: Shape, content: Content, id_: str) -> tuple[Expectation, ...]:
    if content.external_id is None:
        return ()
    return (IndexFree(shape.collection, EXTERNAL_ID, content.external_id, id_),)


def _named(data: Any, external_id: str) -> Any:
    """The body with the address's external id in it. Raises InvalidRecord where it names another."""
    if not isinstance(data, dict):
        return data
    if data.get(EXTERNAL_ID, external_id) != external_id:
        told_how = "The address names another external id; leave this member out, or PATCH it by the record's id."
        raise InvalidRecord(told_how, errors=[Finding(f"/{EXTERNAL_ID}", "invalid_value", told_how)])
    return {**data, EXTERNAL_ID: external_id}

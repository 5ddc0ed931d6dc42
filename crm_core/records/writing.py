"""Writing one record: create, update, put by the caller's own id. Each is one durable unit."""

from __future__ import annotations

from typing import Any

import msgspec

from crm_core.errors import Finding, InvalidRecord
from crm_core.model.ids import Ids
from crm_core.model.times import to_wire
from crm_core.plugin.storage import ChangeEntry, Conflict, Document, DocumentAt, Expectation, IndexFree, Put, Unit
from crm_core.records.changes import entry_of
from crm_core.records.guarded_store import (
    ATTEMPTS,
    GuardedStore,
    RecordAccess,
    busy,
    existing,
    external_id_taken,
    limit_reached,
    require_live,
    room,
)
from crm_core.records.idempotency import Idempotency, IdempotentRequest, WriteResult, claim_of
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import EXTERNAL_ID, Content, Stamps, StoredRecord
from crm_core.records.uniqueness import free, is_of_external_id, require_unique
from crm_core.workspace import Workspace

CREATED, DONE = 201, 200


class RecordWrite(msgspec.Struct, frozen=True):
    """A write of one record for a unit: the put, its expectations and its entry in the change log.

    ``wanted``: those of its expectations that another record's value can break.
    """

    put: Put
    expect: tuple[Expectation, ...]
    entry: ChangeEntry
    wanted: tuple[IndexFree, ...]
    creates: bool

    @property
    def written(self) -> WriteResult:
        """The result once it is durable."""
        return WriteResult(CREATED if self.creates else DONE, self.put.body, self.put.id, self.entry.revision)


class Writes:
    """Writes of all record types."""

    def __init__(self, store: GuardedStore, ids: Ids, idempotency: Idempotency) -> None:
        self._store = store
        self._ids = ids
        self._idempotency = idempotency

    async def create(self, access: RecordAccess, data: Any, idempotent: IdempotentRequest | None) -> WriteResult:
        """Create a record. Raises AccessError, RecordError, LimitReached, ReplayedRefusal."""
        if idempotent is not None:
            await self._store.authorize(access, "create", writes=True)
        return await self._idempotency.run(access.tenant, idempotent, lambda: self._create(access, data, idempotent))

    async def was_created(self, access: RecordAccess, idempotent: IdempotentRequest) -> bool:
        """Whether a request with this idempotency key has created its record."""
        return await self._idempotency.was_done(access.tenant, idempotent)

    async def _create(self, access: RecordAccess, data: Any, idempotent: IdempotentRequest | None) -> WriteResult:
        content, seen = None, access.caller.seen
        for _ in range(ATTEMPTS):
            workspace = await self._store.authorize(access, "create", writes=True, seen=seen)
            seen = None
            content = content or await self._new(access, data)
            write = self.creation(access, content)
            conflict = await self._commit(access, workspace, write, idempotent)
            if conflict is None:
                return write.written
            if is_of_external_id(conflict):
                await self._refuse_taken(access, content.external_id)
            if conflict.what == "document":  # what it refers to has just been archived or erased
                content = None
        raise busy()

    async def _new(self, access: RecordAccess, data: Any) -> Content:
        """The content of a new record. Raises RecordArchived rather than InvalidRecord if both are true."""
        try:
            return await self._store.validate(access, data)
        except InvalidRecord:
            external_id = data.get(EXTERNAL_ID) if isinstance(data, dict) else None
            if isinstance(external_id, str):
                await self._refuse_archived(access, external_id)
            raise

    async def update(
        self,
        access: RecordAccess,
        id: str,  # noqa: A002 -- the wire's word
        patch: Any,
        conditions: Preconditions,
        idempotent: IdempotentRequest | None = None,
    ) -> WriteResult:
        """Change a record by a merge patch; one that changes nothing writes nothing.

        Raises AccessError, NotFound, RecordError, ReplayedRefusal.
        """
        if idempotent is not None:
            await self._store.authorize(access, "update", writes=True)
        return await self._idempotency.run(
            access.tenant, idempotent, lambda: self._update(access, id, patch, conditions, idempotent), subject=id
        )

    async def _update(
        self,
        access: RecordAccess,
        id_: str,
        patch: Any,
        conditions: Preconditions,
        idempotent: IdempotentRequest | None,
    ) -> WriteResult:
        seen = access.caller.seen
        for _ in range(ATTEMPTS):
            workspace = await self._store.authorize(access, "update", writes=True, seen=seen)
            seen = None
            read = await self._store.read(access, id_)
            if read.revision > workspace.revision:
                continue
            document = existing(read.document)
            conditions.require(document)
            require_live(access, document)
            stored = access.shape.parse(document.body)
            content = await self._store.validate(access, patch, stored.writable)
            write = self.change(access, content, stored)
            if write is None:
                written = unchanged(document)
                if await self._store.remember(access, idempotent, written):
                    return written
                continue
            conflict = await self._commit(access, workspace, write, idempotent)
            if conflict is None:
                return write.written
            if is_of_external_id(conflict):
                await self._refuse_taken(access, content.external_id)
        raise busy()

    async def put(self, access: RecordAccess, external_id: str, data: Any, conditions: Preconditions) -> WriteResult:
        """Create or update the record with an external id; members left out stay. Raises as create and update."""
        for _ in range(ATTEMPTS):
            workspace = await self._store.authorize_either(access)
            read = await self._store.find(access, external_id)
            if read.revision > workspace.revision:
                continue
            action = "create" if read.document is None else "update"
            await self._store.authorize(access, action, writes=True)
            conditions.require(read.document)
            if read.document is not None:
                require_live(access, read.document)
            write = await self.creation_or_change(access, _named(data, external_id), read.document)
            if isinstance(write, WriteResult):
                return write
            if await self._commit(access, workspace, write) is None:
                return write.written
        raise busy()

    async def creation_or_change(
        self, access: RecordAccess, data: Any, found: Document | None
    ) -> RecordWrite | WriteResult:
        """The write that an upsert needs, or its result if nothing would change. Raises InvalidRecord."""
        if found is None:
            return self.creation(access, await self._store.validate(access, data))
        stored = access.shape.parse(found.body)
        content = await self._store.validate(access, data, stored.writable)
        return self.change(access, content, stored) or unchanged(found)

    def creation(self, access: RecordAccess, content: Content) -> RecordWrite:
        """The write that creates a record."""
        moment = self._store.now()
        id_, now = self._ids.at(moment), to_wire(moment)
        stamps = Stamps(now, now, None, access.caller.actor, access.caller.actor, 1)
        put = access.shape.put(id_, content, stamps)
        entry = entry_of(access, "created", (id_, content.external_id), stamps)
        absent = DocumentAt(access.shape.collection, id_, 0)
        wanted = free(access.shape, put)
        return RecordWrite(put, (absent, *content.referenced, *wanted), entry, wanted, creates=True)

    def change(self, access: RecordAccess, content: Content, stored: StoredRecord) -> RecordWrite | None:
        """The write that changes a record; None if nothing would change."""
        before, changes = stored.stamps, tuple(access.shape.differences(stored, content))
        if not changes:
            return None
        # A clock that stepped back must not hide the change from updated_since.
        now = max(to_wire(self._store.now()), before.updated_at)
        stamps = Stamps(before.created_at, now, None, before.created_by, access.caller.actor, before.revision + 1)
        put = access.shape.put(stored.id, content, stamps)
        at = DocumentAt(access.shape.collection, stored.id, before.revision)
        wanted = free(access.shape, put, stored.writable)
        entry = entry_of(access, "updated", (stored.id, content.external_id), stamps, changes)
        return RecordWrite(put, (at, *content.referenced, *wanted), entry, wanted, creates=False)

    async def _refuse_taken(self, access: RecordAccess, external_id: str | None) -> None:
        """Raise RecordArchived, ExternalIdTaken for an external id that another record had a moment ago."""
        if external_id is not None:
            await self._refuse_archived(access, external_id)
        raise external_id_taken()

    async def _refuse_archived(self, access: RecordAccess, external_id: str) -> None:
        """Raise RecordArchived if the record with the external id is archived."""
        holder = (await self._store.find(access, external_id)).document
        if holder is not None:
            require_live(access, holder)

    async def _commit(
        self,
        access: RecordAccess,
        workspace: Workspace,
        write: RecordWrite,
        idempotent: IdempotentRequest | None = None,
    ) -> Conflict | None:
        """Make a write durable. Raises LimitReached, NotUnique; a conflict that an attempt may solve is returned."""
        now = int(self._store.now().timestamp())
        unit = Unit(
            now=now,
            expect=(workspace.unchanged, *write.expect, *(room(access, workspace) if write.creates else ())),
            claims=claim_of(idempotent, now, write.written) if idempotent else (),
            puts=(write.put,),
            changes=(write.entry,),
        )
        outcome = await self._store.commit(access.tenant, unit)
        if not isinstance(outcome, Conflict):
            return None
        if outcome.what == "count":
            raise limit_reached(access, workspace)
        if outcome.what == "index":
            await require_unique(self._store, access, write.wanted)
        return outcome


def unchanged(document: Document) -> WriteResult:
    """The result of a write that changes nothing."""
    return WriteResult(DONE, document.body, document.id, document.revision)


def _named(data: Any, external_id: str) -> Any:
    """The body with the external id of the URL. Raises InvalidRecord if the body has another."""
    if not isinstance(data, dict):
        return data
    if data.get(EXTERNAL_ID, external_id) != external_id:
        message = "The URL names another external id. Leave this member out, or PATCH the record by its id."
        raise InvalidRecord(message, errors=[Finding(f"/{EXTERNAL_ID}", "invalid_value", message)])
    return {**data, EXTERNAL_ID: external_id}

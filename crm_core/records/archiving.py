"""Archive and restore: a record moves between the live records of its type and the archived ones, as a revision."""

from __future__ import annotations

import msgspec

from crm_core.model.change_log import RecordChange
from crm_core.model.times import to_wire
from crm_core.plugin.storage import Conflict, Delete, Document, DocumentAt, Unit
from crm_core.records.changes import entry_of
from crm_core.records.guarded_store import ATTEMPTS, GuardedStore, RecordAccess, busy, existing, limit_reached, room
from crm_core.records.idempotency import Idempotency, IdempotentRequest, WriteResult, claim_of
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import EXTERNAL_ID
from crm_core.records.writing import DONE, unchanged
from crm_core.workspace import Workspace


class Archive:
    """Archives and restores records of all types."""

    def __init__(self, store: GuardedStore, idempotency: Idempotency) -> None:
        self._store = store
        self._idempotency = idempotency

    async def archive(self, access: RecordAccess, id: str, conditions: Preconditions) -> WriteResult:  # noqa: A002
        """Archive a record; an archived one stays as it is. Raises AccessError, NotFound, RevisionMismatch."""
        return await self._move(access, id, conditions, archived=True)

    async def restore(
        self,
        access: RecordAccess,
        id: str,  # noqa: A002 -- the wire's word
        conditions: Preconditions,
        idempotent: IdempotentRequest | None = None,
    ) -> WriteResult:
        """Bring a record back; a live one stays as it is.

        Raises AccessError, NotFound, RevisionMismatch, LimitReached, ReplayedRefusal.
        """
        if idempotent is not None:
            await self._store.authorize(access, "delete", writes=True)
        return await self._idempotency.run(
            access.tenant,
            idempotent,
            lambda: self._move(access, id, conditions, archived=False, idempotent=idempotent),
            subject=id,
        )

    async def _move(
        self,
        access: RecordAccess,
        id_: str,
        conditions: Preconditions,
        *,
        archived: bool,
        idempotent: IdempotentRequest | None = None,
    ) -> WriteResult:
        for _ in range(ATTEMPTS):
            workspace = await self._store.authorize(access, "delete", writes=True)
            read = await self._store.read(access, id_)
            if read.revision > workspace.revision:
                continue
            document = existing(read.document)
            conditions.require(document)
            if archived == (document.collection == access.shape.archive):
                written = unchanged(document)
                if await self._store.remember(access, idempotent, written):
                    return written
                continue
            unit, written = self._unit(access, workspace, document, archived=archived)
            claims = claim_of(idempotent, unit.now, written)
            unit = msgspec.structs.replace(unit, claims=claims) if claims else unit
            outcome = await self._store.commit(access.tenant, unit)
            if not isinstance(outcome, Conflict):
                return written
            if outcome.what == "count":
                raise limit_reached(access, workspace)
        raise busy()

    def _unit(
        self, access: RecordAccess, workspace: Workspace, document: Document, *, archived: bool
    ) -> tuple[Unit, WriteResult]:
        shape = access.shape
        stored = shape.parse(document.body)
        before, now = stored.stamps, self._store.now()
        moment = max(to_wire(now), before.updated_at)
        stamps = msgspec.structs.replace(
            before,
            updated_at=moment,
            archived_at=moment if archived else None,
            updated_by=access.caller.actor,
            revision=before.revision + 1,
        )
        change: RecordChange = "archived" if archived else "restored"
        put = msgspec.structs.replace(shape.restamped(stored, stamps), moved_at=document.revision)
        unit = Unit(
            now=int(now.timestamp()),
            expect=(
                workspace.unchanged,
                DocumentAt(document.collection, document.id, document.revision),
                *(() if archived else room(access, workspace)),
            ),
            deletes=(Delete(document.collection, document.id),),
            puts=(put,),
            changes=(entry_of(access, change, (stored.id, stored.writable[EXTERNAL_ID]), stamps),),
        )
        return unit, WriteResult(DONE, put.body, document.id, stamps.revision)

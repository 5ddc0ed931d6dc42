"""Batches: up to 500 upserts in one durable unit, each with its result; with ``atomic`` all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from crm_core.errors import CrmError, Finding, InvalidRecord, LimitReached, RecordArchived
from crm_core.model.turns import Turn
from crm_core.plugin.storage import Committed, Conflict, Read, Unit
from crm_core.records.batch_items import ID, BatchItem, NamedRecords, items_of, missing, read_item
from crm_core.records.guarded_store import (
    ATTEMPTS,
    GuardedStore,
    RecordAccess,
    busy,
    external_id_taken,
    limit_of,
    limit_reached,
    require_live,
    room,
)
from crm_core.records.idempotency import Idempotency, IdempotentRequest, WriteResult, claim_of
from crm_core.records.shape import EXTERNAL_ID
from crm_core.records.uniqueness import TakenInBatch, require_unique
from crm_core.records.writing import DONE, RecordWrite, Writes
from crm_core.workspace import Workspace, require

_ORDER = (403, 404, 412, 422)  # of refusals; then the others, and limits last

Outcome = RecordWrite | WriteResult | CrmError
"""The outcome of an item: a write, the result of one that changes nothing, or a refusal."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as sent. ``request_id`` and ``instance`` go into the problems of refused items."""

    data: Any
    atomic: bool
    request_id: str
    instance: str
    idempotent: IdempotentRequest | None


class Batches:
    """Batches of all record types."""

    def __init__(self, store: GuardedStore, writes: Writes, idempotency: Idempotency) -> None:
        self._store = store
        self._writes = writes
        self._idempotency = idempotency

    async def run(self, access: RecordAccess, batch: Batch) -> WriteResult:
        """Run a batch; the result's body is ``{"results": [...]}``.

        Raises:
            AccessError, ReplayedRefusal: The request is refused.
            InvalidRecord: The batch itself is not valid; if atomic, an item.
            NotFound, RecordError, LimitReached: An item of an atomic batch is refused.
        """
        await self._store.authorize_either(access)
        items = items_of(batch.data)
        return await self._idempotency.run(access.tenant, batch.idempotent, lambda: self._run(access, batch, items))

    async def check(self, access: RecordAccess, batch: Batch) -> WriteResult:
        """The result that a batch would have; nothing is written. Raises AccessError, InvalidRecord."""
        items = items_of(batch.data)
        for _ in range(ATTEMPTS):
            workspace = await self._store.authorize_either(access)
            outcomes = await self._outcomes(access, workspace, items)
            if outcomes is not None:
                return WriteResult(DONE, _body(outcomes, batch))
        raise busy()

    async def _run(self, access: RecordAccess, batch: Batch, items: list[Any]) -> WriteResult:
        for _ in range(ATTEMPTS):
            workspace = await self._store.authorize_either(access)
            outcomes = await self._outcomes(access, workspace, items)
            if outcomes is None:
                continue
            if batch.atomic:
                _refuse_any(outcomes)
            written = WriteResult(DONE, _body(outcomes, batch))
            outcome = await self._commit(access, workspace, outcomes, batch.idempotent, written)
            if not isinstance(outcome, Conflict):
                return written
        raise busy()

    async def _outcomes(self, access: RecordAccess, workspace: Workspace, items: list[Any]) -> list[Outcome] | None:
        """The outcome of each item; None if the workspace has changed meanwhile."""
        limit = limit_of(access, workspace)
        left = (
            None if limit is None else limit - await self._store.backend.count(access.tenant, access.shape.collection)
        )
        outcomes: list[Outcome] = []
        named, taken = NamedRecords(), TakenInBatch()
        turn = Turn()
        for at, item in enumerate(items):
            await turn.pause()
            try:
                outcome = await self._outcome(access, workspace, read_item(item), at, named)
                if isinstance(outcome, RecordWrite):
                    taken.require_unique(outcome.wanted)
                    await require_unique(self._store, access, outcome.wanted)
                    if outcome.creates and left is not None:
                        if left <= 0:
                            raise limit_reached(access, workspace)
                        left -= 1
                    taken.add(at, outcome.wanted)
            except CrmError as error:
                if error.status >= 500:
                    raise
                outcome = _under(error, at)
            if outcome is None:
                return None
            outcomes.append(outcome)
        return outcomes

    async def _outcome(
        self, access: RecordAccess, workspace: Workspace, item: BatchItem, at: int, named: NamedRecords
    ) -> Outcome | None:
        external_id = item.external_id
        found = Read(None, 0)
        if external_id is not None:
            named.add(at, EXTERNAL_ID, (EXTERNAL_ID, external_id))
            found = await self._store.find(access, external_id)
        read = found if item.id is None else await self._store.read(access, item.id)
        if max(read.revision, found.revision) > workspace.revision:
            return None
        document = read.document
        if document is not None:
            named.add(at, EXTERNAL_ID if item.id is None else ID, (ID, document.id))
        action = "create" if document is None and item.id is None else "update"
        require(workspace, access.caller, f"{access.shape.name}.{action}", writes=True)
        item.conditions.require(document)
        if document is None and item.id is not None:
            raise missing()
        if document is not None:
            require_live(access, document)
        if found.document is not None and document is not None and found.document.id != document.id:
            require_live(access, found.document)
            raise external_id_taken()
        return await self._writes.creation_or_change(access, item.data, document)

    async def _commit(
        self,
        access: RecordAccess,
        workspace: Workspace,
        outcomes: list[Outcome],
        idempotent: IdempotentRequest | None,
        written: WriteResult,
    ) -> Committed | Conflict | None:
        writes = [outcome for outcome in outcomes if isinstance(outcome, RecordWrite)]
        now = int(self._store.now().timestamp())
        claims = claim_of(idempotent, now, written)
        if not writes and not claims:
            return None
        expect = [expectation for write in writes for expectation in write.expect]
        if any(write.creates for write in writes):
            expect += room(access, workspace)
        unit = Unit(
            now=now,
            expect=(workspace.unchanged, *expect),
            claims=claims,
            puts=tuple(write.put for write in writes),
            changes=tuple(write.entry for write in writes),
        )
        return await self._store.commit(access.tenant, unit)


def _under(error: CrmError, at: int) -> CrmError:
    """The refusal with pointers into the batch."""
    error.errors = tuple(finding.under(f"/items/{at}") for finding in error.errors)
    return error


def _refuse_any(outcomes: list[Outcome]) -> None:
    """Refuse an atomic batch with an item refused: for the first reason in the order of refusals, all input errors."""
    refusals = {at: outcome for at, outcome in enumerate(outcomes) if isinstance(outcome, CrmError)}
    if not refusals:
        return
    at, first = min(refusals.items(), key=lambda refused: _rank(refused[1]))
    if not isinstance(first, InvalidRecord):
        first.errors = first.errors or (Finding(f"/items/{at}", first.code, first.detail),)
        raise first
    invalid = [finding for error in refusals.values() if isinstance(error, InvalidRecord) for finding in error.errors]
    raise InvalidRecord("Nothing was written. `errors` lists the problems of each item.", errors=invalid)


def _rank(error: CrmError) -> int:
    """The place of a refusal in the order that single requests are refused in."""
    if isinstance(error, LimitReached):
        return len(_ORDER) + 1
    if isinstance(error, RecordArchived):
        return _ORDER.index(412)
    return _ORDER.index(error.status) if error.status in _ORDER else len(_ORDER)


def _body(outcomes: list[Outcome], batch: Batch) -> bytes:
    return msgspec.json.encode({"results": [_result(outcome, batch) for outcome in outcomes]})


def _result(outcome: Outcome, batch: Batch) -> Mapping[str, Any]:
    if isinstance(outcome, CrmError):
        return {"status": outcome.status, "problem": outcome.problem(batch.request_id, batch.instance)}
    written = outcome.written if isinstance(outcome, RecordWrite) else outcome
    return {"status": written.status, "id": written.id, "revision": written.revision}

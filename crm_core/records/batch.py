"""Batches: up to 500 upserts in one durable unit, each with its result; with ``atomic`` all of them or none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from crm_core.errors import CrmError, Finding, InvalidRecord
from crm_core.model.fields import step as pointer_step
from crm_core.plugin.storage import Committed, Conflict, Unit, WorkspaceAt
from crm_core.records.guarded_store import (
    ATTEMPTS,
    GuardedStore,
    RecordAccess,
    busy,
    limit_of,
    limit_reached,
    notices,
    room,
)
from crm_core.records.idempotency import Idempotency, IdempotentRequest, WriteResult, claim_of
from crm_core.records.shape import EXTERNAL_ID
from crm_core.records.writing import DONE, RecordWrite, Writes
from crm_core.workspace import Workspace, require

MAX_ITEMS = 500
_BREATHER = 50  # items after which the event loop serves other requests

Outcome = RecordWrite | WriteResult | CrmError
"""The outcome of an item: a write, the result of one that changes nothing, or a refusal."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as sent. ``request_id`` goes into the problems of refused items."""

    data: Any
    atomic: bool
    request_id: str
    idempotent: IdempotentRequest | None


class Batches:
    """Batches of all record types."""

    def __init__(self, store: GuardedStore, writes: Writes, idempotency: Idempotency) -> None:
        self._store = store
        self._writes = writes
        self._idempotency = idempotency

    async def run(self, access: RecordAccess, batch: Batch) -> WriteResult:
        """Run a batch; the result's body is ``{"results": [...]}``.

        Raises AccessError, InvalidRecord (the batch itself; any item if atomic), LimitReached, ReplayedRefusal.
        """
        await self._store.authorize_either(access)
        items = _items(batch.data)
        return await self._idempotency.run(access.tenant, batch.idempotent, lambda: self._run(access, batch, items))

    async def _run(self, access: RecordAccess, batch: Batch, items: list[Any]) -> WriteResult:
        for _ in range(ATTEMPTS):
            workspace = await self._store.authorize_either(access)
            outcomes = await self._outcomes(access, workspace, items)
            if outcomes is None:
                continue
            if batch.atomic:
                _refuse_any(outcomes)
            written = WriteResult(DONE, _body(outcomes, batch.request_id))
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
        seen: dict[str, int] = {}
        for at, item in enumerate(items):
            if at % _BREATHER == _BREATHER - 1:
                await asyncio.sleep(0)
            try:
                _refuse_repeat(seen, at, item)
                outcome = await self._outcome(access, workspace, item)
                if isinstance(outcome, RecordWrite) and outcome.creates and left is not None:
                    if left <= 0:
                        outcome = limit_reached(access, workspace)
                    left -= 1
            except CrmError as error:
                if error.status >= 500:
                    raise
                outcome = _under(error, at)
            if outcome is None:
                return None
            outcomes.append(outcome)
        return outcomes

    async def _outcome(self, access: RecordAccess, workspace: Workspace, item: Any) -> Outcome | None:
        external_id = item.get(EXTERNAL_ID) if isinstance(item, dict) else None
        document = None
        if isinstance(external_id, str):
            read = await self._store.backend.find(access.tenant, access.shape.collection, EXTERNAL_ID, external_id)
            if read.revision > workspace.revision:
                return None
            document = read.document
        action = "create" if document is None else "update"
        require(workspace, access.caller, f"{access.shape.name}.{action}", writes=True)
        return await self._writes.creation_or_change(access, item, document)

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
            expect=(WorkspaceAt(workspace.revision), *expect),
            claims=claims,
            puts=tuple(write.put for write in writes),
            notices=notices(access.shape, [(write.put.id, write.revision) for write in writes]),
        )
        return await self._store.commit(access.tenant, unit)


def _items(data: Any) -> list[Any]:
    """The items of a batch. Raises InvalidRecord."""
    findings: list[Finding] = []
    if not isinstance(data, dict):
        findings.append(Finding("", "wrong_type", 'Send {"items": [...]}.'))
    else:
        findings += [
            Finding(pointer_step(name), "unknown_member", "Unknown member; the only one is items.")
            for name in data
            if name != "items"
        ]
        items = data.get("items")
        if not isinstance(items, list):
            findings.append(Finding("/items", "missing_member", "Add `items`, a list of records."))
        elif len(items) > MAX_ITEMS:
            findings.append(Finding("/items", "invalid_value", f"A batch may have up to {MAX_ITEMS} items. Split it."))
    if findings:
        raise InvalidRecord(findings[0].message, errors=findings)
    found: list[Any] = data["items"]
    return found


def _refuse_repeat(seen: dict[str, int], at: int, item: Any) -> None:
    """Refuse a second item for the same record: only one of two results could be true."""
    external_id = item.get(EXTERNAL_ID) if isinstance(item, dict) else None
    if not isinstance(external_id, str):
        return
    if external_id in seen:
        message = f"Item {seen[external_id]} has this external id already. Send one of the two in another batch."
        raise InvalidRecord(message, errors=[Finding(f"/{EXTERNAL_ID}", "repeated", message)])
    seen[external_id] = at


def _under(error: CrmError, at: int) -> CrmError:
    """The refusal with pointers into the batch."""
    error.errors = tuple(finding.under(f"/items/{at}") for finding in error.errors)
    return error


def _refuse_any(outcomes: list[Outcome]) -> None:
    """Refuse an atomic batch with an item refused: for a lacking right, else all input errors, else the first other."""
    refusals = [outcome for outcome in outcomes if isinstance(outcome, CrmError)]
    invalid = [finding for error in refusals if isinstance(error, InvalidRecord) for finding in error.errors]
    others = [error for error in refusals if not isinstance(error, InvalidRecord)]
    denied = next((error for error in others if error.status == 403 and error.code != "limit_reached"), None)
    if denied is not None:
        raise denied
    if invalid:
        raise InvalidRecord("Nothing was written. `errors` lists the problems of each item.", errors=invalid)
    if others:
        raise others[0]


def _body(outcomes: list[Outcome], request_id: str) -> bytes:
    return msgspec.json.encode({"results": [_result(outcome, request_id) for outcome in outcomes]})


def _result(outcome: Outcome, request_id: str) -> Mapping[str, Any]:
    if isinstance(outcome, CrmError):
        return {"status": outcome.status, "problem": outcome.problem(request_id)}
    written = outcome.written if isinstance(outcome, RecordWrite) else outcome
    return {"status": written.status, "id": written.id, "revision": written.revision}

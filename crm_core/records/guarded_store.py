"""The store as reads and writes of records use it: behind the guard, with every outcome of a commit resolved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import msgspec

from crm_core.errors import (
    CrmError,
    ExternalIdTaken,
    Finding,
    InvalidRecord,
    LimitReached,
    NotFound,
    RecordArchived,
    StorageUnavailable,
)
from crm_core.model.caller import Caller
from crm_core.plugin.storage import (
    Committed,
    Conflict,
    CountBelow,
    Document,
    DocumentAt,
    DocumentExists,
    Expectation,
    OutcomeUnknown,
    PageQuery,
    Read,
    StorageBackend,
    Unit,
)
from crm_core.records.idempotency import ClaimTaken, IdempotentRequest, WriteResult, claim_of
from crm_core.records.shape import EXTERNAL_ID, Content, Shape, archive_of, collection_of
from crm_core.workspace import Views, Workspace, may, require

ATTEMPTS = 100  # of a unit that conflicts: each conflict means that another one got through
_PAGE = 200  # documents read at a time


class RecordAccess(msgspec.Struct, frozen=True):
    """Access to the records of one type: in which tenant, by which caller, for which request if it is one."""

    tenant: str
    caller: Caller
    shape: Shape
    request_id: str | None = None


class GuardedStore:
    """The store behind the guard, and a clock."""

    def __init__(self, backend: StorageBackend, views: Views, now: Callable[[], datetime]) -> None:
        self.backend = backend
        self.now = now
        self._views = views

    async def workspace(self, tenant: str) -> Workspace:
        """The workspace as it is now: the same value until something changes it."""
        return await self._views.of(tenant)

    async def authorize(
        self, access: RecordAccess, *actions: str, writes: bool = False, seen: tuple[int, str] | None = None
    ) -> Workspace:
        """The workspace, after checking that the caller may do all of the actions. Raises AccessError.

        ``seen``: ``Caller.seen``, for the first try of a caller that notices itself if the workspace has changed since.
        """
        workspace = await self._views.of(access.tenant, seen)
        for action in actions:
            require(workspace, access.caller, f"{access.shape.name}.{action}", writes=writes)
        return workspace

    async def authorize_either(self, access: RecordAccess) -> Workspace:
        """The workspace, after checking that the caller may create or update. Raises AccessError."""
        workspace = await self._views.of(access.tenant)
        create, update = f"{access.shape.name}.create", f"{access.shape.name}.update"
        require(workspace, access.caller, create if may(workspace, access.caller, create) else update, writes=True)
        return workspace

    async def read(self, access: RecordAccess, id_: str) -> Read:
        """A record, archived or not."""
        return await self.record(access.tenant, access.shape.name, id_)

    async def record(self, tenant: str, record_type: str, id_: str) -> Read:
        """A record of a type, archived or not."""
        live, archive = collection_of(record_type), archive_of(record_type)
        read = await self.backend.get(tenant, live, id_)
        if read.document is None:
            # Both at one moment: between two reads it may be archived or restored, also several times.
            archived, read = await asyncio.gather(
                self.backend.get(tenant, archive, id_), self.backend.get(tenant, live, id_)
            )
            read = read if archived.document is None else archived
        return read

    async def find(self, access: RecordAccess, external_id: str) -> Read:
        """The record with an external id, archived or not."""
        shape, read = access.shape, Read(None, 0)
        for collection in (shape.collection, shape.archive, shape.collection):
            read = await self.backend.find(access.tenant, collection, EXTERNAL_ID, external_id)
            if read.document is not None:
                break
        return read

    async def validate(self, access: RecordAccess, patch: object, current: dict[str, object] | None = None) -> Content:
        """The content after a patch, its references checked. Raises InvalidRecord, PluginFailed."""
        validated = access.shape.validate(patch, current)
        findings = list(validated.findings)
        for pointer, record_type, id_ in validated.references:
            if (await self.backend.get(access.tenant, collection_of(record_type), id_)).document is None:
                message = f"There is no record with this id in {record_type}. Create or restore it first."
                findings.append(Finding(pointer, "dangling_reference", message))
        if findings or validated.content is None:
            raise InvalidRecord("The record is not valid. `errors` lists every problem.", errors=findings)
        if not validated.references:
            return validated.content
        referenced = tuple(DocumentExists(collection_of(name), id_) for _, name, id_ in validated.references)
        return msgspec.structs.replace(validated.content, referenced=referenced)

    async def commit(self, tenant: str, unit: Unit) -> Committed | Conflict:
        """Commit a unit; an unknown outcome is looked up. Raises ClaimTaken, StorageUnavailable."""
        try:
            outcome = await self.backend.commit(tenant, unit)
        except OutcomeUnknown:
            return await self._resolve(tenant, unit)
        if isinstance(outcome, Conflict) and outcome.what == "claim":
            raise ClaimTaken(outcome.evidence)
        return outcome

    async def remember(self, access: RecordAccess, idempotent: IdempotentRequest | None, written: WriteResult) -> bool:
        """Make the answer of a write that changes nothing durable, for its repeats, unless the record has changed.

        An erase in the meantime must find nothing of the record in a stored answer.
        """
        now = int(self.now().timestamp())
        claims = claim_of(idempotent, now, written)
        if not claims:
            return True
        still = DocumentAt(access.shape.collection, written.id, written.revision)
        outcome = await self.commit(access.tenant, Unit(now=now, expect=(still,), claims=claims))
        return not isinstance(outcome, Conflict)

    async def _resolve(self, tenant: str, unit: Unit) -> Committed:
        """A unit was committed if its claim is stored, or else its first document: neither text is ever made twice."""
        view = await self.backend.view(tenant, None)
        if unit.claims:
            claim = unit.claims[0]
            committed = await self.backend.claim(tenant, claim.kind, claim.key) == claim.evidence
        elif unit.deletes and not unit.puts:
            delete = unit.deletes[0]
            committed = (await self.backend.get(tenant, delete.collection, delete.id)).document is None
        else:
            put = unit.puts[0]
            document = (await self.backend.get(tenant, put.collection, put.id)).document
            committed = document is not None and document.body == put.body
        if not committed:
            raise StorageUnavailable(
                "The connection to the storage broke. Read the record, then send the request again.", retry_after=1
            )
        return Committed(view.seq, view.revision, view.head)


async def having(
    backend: StorageBackend, tenant: str, collection: str, index: str, values: tuple[str, ...]
) -> AsyncIterator[Document]:
    """The documents that have any of the values in an index."""
    query = PageQuery(collection=collection, sort=index, filters=((index, values),), limit=_PAGE)
    while True:
        page = await backend.page(tenant, query)
        for document in page.documents:
            yield document
        if page.next is None:
            return
        query = msgspec.structs.replace(query, after=page.next)


def limit_of(access: RecordAccess, workspace: Workspace) -> int | None:
    """How many records of the type the tenant may have; None: no limit."""
    return workspace.entitlements.limits.get(access.shape.name)


def room(access: RecordAccess, workspace: Workspace) -> tuple[Expectation, ...]:
    """The expectations of a unit that creates: room within the limit."""
    limit = limit_of(access, workspace)
    return () if limit is None else (CountBelow(access.shape.collection, limit),)


def limit_reached(access: RecordAccess, workspace: Workspace) -> LimitReached:
    """The refusal at the limit."""
    limit, name = limit_of(access, workspace), access.shape.name
    return LimitReached(
        f"The plan includes {limit} {name}, and all are in use. Ask your operator to raise the limit.",
        limit=limit,
        record_type=name,
    )


def existing(document: Document | None) -> Document:
    """A record that was read. Raises NotFound."""
    if document is None:
        raise NotFound("There is no record with this id.")
    return document


def require_live(access: RecordAccess, document: Document) -> None:
    """Raise RecordArchived if the record is archived."""
    if document.collection == access.shape.archive:
        raise RecordArchived("This record is archived. Restore it to change it.", id=document.id)


def external_id_taken() -> ExternalIdTaken:
    """The refusal if another record of the type has the external id.

    It does not repeat the id: refusals are stored for repeats of their request, and an erase must not leave it there.
    """
    message = "Another record of this type has this external id. Use PUT to update that one."
    return ExternalIdTaken(message, errors=[Finding("/external_id", "external_id_taken", message)])


def busy() -> CrmError:
    """The refusal after too many conflicts in a row."""
    return StorageUnavailable("Too many others are writing right now. Send the request again.", retry_after=1)

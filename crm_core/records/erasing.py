"""Erase: a record's data leaves the tenant for good, with the records that refer to it if that is requested."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from crm_core.errors import StillReferenced
from crm_core.model.times import to_wire
from crm_core.plugin.record_type import Reference
from crm_core.plugin.storage import ChangeEntry, Conflict, Delete, Document, DocumentAt, Expectation, IndexFree, Unit
from crm_core.records.changes import entry_of
from crm_core.records.distinct import without_pairs
from crm_core.records.guarded_store import ATTEMPTS, GuardedStore, RecordAccess, busy, existing, having
from crm_core.records.list_views import naming_texts, without_records
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import Shape
from crm_core.workspace import Workspace, require_scope

MOST_ERASED: Final = 500  # records that one request erases
ERASE: Final = "records.erase"


class EraseOutlook(msgspec.Struct, frozen=True):
    """A record that may be erased, and how many others refer to it, by type and archived ones included.

    ``direct``: those that refer to it; ``cascade``: those that would be erased with it, None if they are too many.
    """

    document: Document
    direct: Mapping[str, int]
    cascade: Mapping[str, int] | None


Referrer = tuple[Shape, Reference]
Found = dict[str, tuple[Shape, Document]]
"""The records to erase by id, each before those that refer to it."""


class Erasure:
    """Erases records of all types."""

    def __init__(self, store: GuardedStore, shapes: Mapping[str, Shape]) -> None:
        self._store = store
        self._referrers: dict[str, list[Referrer]] = {name: [] for name in shapes}
        for shape in shapes.values():
            for reference in shape.record_type.REFERENCES:
                self._referrers.setdefault(reference.record_type, []).append((shape, reference))

    async def erase(self, access: RecordAccess, id: str, conditions: Preconditions, *, cascade: bool) -> None:  # noqa: A002 -- the wire's word
        """Erase a record, archived or not; with ``cascade`` also all records that refer to it, and to those.

        Neither a suspension nor a module that is not available stops it.

        Raises:
            AccessError: The caller may not erase, or not records of a type that refers to it.
            NotFound, RevisionMismatch: As for an update.
            StillReferenced: Others refer to it; with ``cascade``: more than may be erased in one unit.
        """
        for _ in range(ATTEMPTS):
            workspace = await self._store.workspace(access.tenant)
            _require(workspace, access, access.shape)
            read = await self._store.read(access, id)
            if read.revision > workspace.revision:
                continue
            document = existing(read.document)
            conditions.require(document)
            found = await self._cascade(access, workspace, document, cascade=cascade)
            unit = await self._unit(access, workspace, found)
            if not isinstance(await self._store.commit(access.tenant, unit), Conflict):
                return
        raise busy()

    async def outlook(self, access: RecordAccess, id: str) -> EraseOutlook:  # noqa: A002 -- the wire's word
        """Look at what an erase would remove. Raises AccessError, NotFound."""
        workspace = await self._store.workspace(access.tenant)
        _require(workspace, access, access.shape)
        document = existing((await self._store.read(access, id)).document)
        direct = await self._counts(access, id)
        try:
            found = await self._cascade(access, workspace, document, cascade=True)
        except StillReferenced:
            return EraseOutlook(document, direct, None)
        names = [shape.name for shape, each in found.values() if each.id != id]
        return EraseOutlook(document, direct, {name: names.count(name) for name in sorted(set(names))})

    async def _cascade(self, access: RecordAccess, workspace: Workspace, first: Document, *, cascade: bool) -> Found:
        found: Found = {first.id: (access.shape, first)}
        pending = [first.id]
        while pending:
            shape, document = found[pending.pop()]
            async for other, referring in self._referring(access.tenant, shape, document.id):
                if not cascade or (referring.id not in found and len(found) == MOST_ERASED):
                    raise await self._still_referenced(access, first.id, cascade=cascade)
                _require(workspace, access, other)
                if referring.id not in found:
                    found[referring.id] = (other, referring)
                    pending.append(referring.id)
        return found

    async def _still_referenced(self, access: RecordAccess, id_: str, *, cascade: bool) -> StillReferenced:
        message = (
            f"This would erase more than {MOST_ERASED} records. Erase some of those that refer to it first."
            if cascade
            else "Other records refer to this one, archived ones included. Erase them first, or send cascade=true."
        )
        return StillReferenced(message, references=await self._counts(access, id_))

    async def _counts(self, access: RecordAccess, id_: str) -> dict[str, int]:
        """How many records refer to one, by type."""
        counts: dict[str, set[str]] = {}
        async for shape, document in self._referring(access.tenant, access.shape, id_):
            counts.setdefault(shape.name, set()).add(document.id)
        return {name: len(ids) for name, ids in sorted(counts.items())}

    async def _referring(self, tenant: str, shape: Shape, id_: str) -> AsyncIterator[tuple[Shape, Document]]:
        """The records that refer to one, live and archived."""
        for other, reference in self._referrers[shape.name]:
            for collection in (other.collection, other.archive):
                async for document in self._having(tenant, other, collection, reference.member, id_):
                    yield other, document

    async def _having(
        self, tenant: str, shape: Shape, collection: str, member: str, id_: str
    ) -> AsyncIterator[Document]:
        if _is_indexed(shape, member):
            async for document in having(self._store.backend, tenant, collection, member, (id_,)):
                yield document
            return
        async for document in self._store.backend.documents(tenant, collection):
            if shape.parse(document.body).writable.get(member) == id_:
                yield document

    async def _unit(self, access: RecordAccess, workspace: Workspace, found: Found) -> Unit:
        now = self._store.now()
        texts = [text for shape, document in found.values() for text in _naming(shape, document)]
        expect, puts = await without_records(self._store.backend, access.tenant, texts)
        free, pairs = await without_pairs(self._store.backend, access.tenant, tuple(found))
        records = list(reversed(found.values()))  # those that refer before what they refer to
        return Unit(
            now=int(now.timestamp()),
            expect=(workspace.unchanged, *self._expected(records), *expect, *free),
            puts=puts,
            deletes=(*(Delete(document.collection, document.id) for _, document in records), *pairs),
            changes=tuple(_entry(access, shape, document, to_wire(now)) for shape, document in records),
        )

    def _expected(self, records: Iterable[tuple[Shape, Document]]) -> Iterator[Expectation]:
        """Each record as it was read, and none that refers to one of them but those that are erased with it."""
        for shape, document in records:
            yield DocumentAt(document.collection, document.id, document.revision)
            for other, reference in self._referrers[shape.name]:
                if _is_indexed(other, reference.member):
                    for collection in (other.collection, other.archive):
                        yield IndexFree(collection, reference.member, document.id, "")


def _require(workspace: Workspace, access: RecordAccess, shape: Shape) -> None:
    require_scope(workspace, access.caller, scope=f"{shape.name}:erase", key=ERASE)


def _naming(shape: Shape, document: Document) -> Iterable[str]:
    kinds = {member.name: member.kind for member in shape.record_type.members}
    return naming_texts(msgspec.json.decode(document.body), kinds)


def _is_indexed(shape: Shape, member: str) -> bool:
    return member in shape.filterable or member in shape.sortable


def _entry(access: RecordAccess, shape: Shape, document: Document, now: str) -> ChangeEntry:
    before = shape.parse(document.body).stamps
    stamps = msgspec.structs.replace(before, updated_at=max(now, before.updated_at), revision=before.revision + 1)
    return entry_of(msgspec.structs.replace(access, shape=shape), "erased", (document.id, None), stamps)

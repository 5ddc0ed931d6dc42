"""One change of many records, in batches: each record has its own result, and one that is refused stops no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from crm_core.errors import CrmError, LimitReached, NotFound, RecordError
from crm_core.plugin.storage import Document
from crm_core.records.archiving import Archive
from crm_core.records.batch import Batch, Batches
from crm_core.records.guarded_store import RecordAccess
from crm_core.records.idempotency import WriteResult
from crm_core.records.list_query import Parameters
from crm_core.records.preconditions import UNCONDITIONAL, Preconditions
from crm_core.records.reading import Current, RecordReads

MOST_CHOSEN: Final = 500
"""Records that are chosen one by one, and changed records whose revisions are remembered for an undo."""
_CHUNK: Final = 100
_TOGETHER: Final = 10
"""Records that are moved at the same time, so that one sync of the disk serves several and others get their turn."""
_MOST_LISTED: Final = 200
_REFUSALS: Final = (RecordError, NotFound, LimitReached)  # of one record

PatchOf = Callable[[Document], Awaitable[dict[str, Any]]]
"""The merge patch of a record; a RecordError refuses this one record."""

_Write = Callable[[RecordAccess, Sequence[Document], "BulkTally"], Awaitable[None]]


class Selected(msgspec.Struct, frozen=True):
    """Records chosen by id, each at a revision or as it is (0), or all that list parameters find."""

    chosen: tuple[tuple[str, int], ...] = ()
    parameters: Parameters | None = None


class RefusedRecord(msgspec.Struct, frozen=True):
    """A record that was not changed, and why."""

    id: str
    name: str
    code: str
    message: str


class BulkTally(msgspec.Struct):
    """The results so far. ``changed``: ids and new revisions; ``refused``: the first of ``refusals``.

    ``stopped``: why the rest was not tried; None if all was.
    """

    done: int = 0
    changes: int = 0
    changed: list[tuple[str, int]] = []
    refusals: int = 0
    refused: list[RefusedRecord] = []
    stopped: CrmError | None = None

    def count(self, document: Document, revision: int) -> None:
        """Count a record by its revision now."""
        self.done += 1
        if revision != document.revision:
            self.changes += 1
            if len(self.changed) <= MOST_CHOSEN:
                self.changed.append((document.id, revision))

    def refuse(self, document: Document | str, code: str, message: str) -> None:
        """Count a record, or an id that names none, as refused."""
        self.done += 1
        self.refusals += 1
        if len(self.refused) < _MOST_LISTED:
            named = ("", document) if isinstance(document, str) else (_name(document), document.id)
            self.refused.append(RefusedRecord(named[1], named[0], code, message))


class BulkChanges:
    """Changes of many records of one type. The caller is looked up again for each part of them."""

    def __init__(self, reads: RecordReads, batches: Batches, archive: Archive) -> None:
        self._reads = reads
        self._batches = batches
        self._archive = archive

    async def count(self, access: RecordAccess, selected: Selected) -> int:
        """How many records are selected. Raises AccessError, InvalidParameter."""
        if selected.parameters is None:
            return len(selected.chosen)
        listing = await self._reads.list(access, {**selected.parameters, "limit": "1", "total": "true"})
        return listing.total or 0

    async def update(
        self, access: RecordAccess, selected: Selected, patch_of: PatchOf, current: Current
    ) -> AsyncIterator[BulkTally]:
        """Change each record by its patch; yields the tally after each part."""

        async def write(access: RecordAccess, documents: Sequence[Document], tally: BulkTally) -> None:
            await self._written(access, documents, patch_of, tally)

        async for tally in self._run(access, selected, write, current):
            yield tally

    async def move(
        self, access: RecordAccess, selected: Selected, current: Current, *, archived: bool
    ) -> AsyncIterator[BulkTally]:
        """Archive each record, or bring it back; yields the tally after each part."""
        revisions = dict(selected.chosen)

        async def write(access: RecordAccess, documents: Sequence[Document], tally: BulkTally) -> None:
            for start in range(0, len(documents), _TOGETHER):
                some = documents[start : start + _TOGETHER]
                moves = (self._moved(access, one, revisions.get(one.id, 0), archived=archived) for one in some)
                outcomes = await asyncio.gather(*moves, return_exceptions=True)
                for document, outcome in zip(some, outcomes, strict=True):
                    if isinstance(outcome, WriteResult):
                        tally.count(document, outcome.revision)
                    elif isinstance(outcome, _REFUSALS):
                        tally.refuse(document, outcome.code, outcome.detail)
                for outcome in outcomes:  # once those that were moved are counted
                    if isinstance(outcome, BaseException) and not isinstance(outcome, _REFUSALS):
                        raise outcome

        async for tally in self._run(access, selected, write, current):
            yield tally

    async def _run(
        self, access: RecordAccess, selected: Selected, write: _Write, current: Current
    ) -> AsyncIterator[BulkTally]:
        tally = BulkTally()
        parts = self._chosen(access, selected, tally) if selected.parameters is None else self._all(access, selected)
        try:
            async for documents in parts:
                if documents:
                    caller = await current(access.tenant, access.caller)
                    await write(msgspec.structs.replace(access, caller=caller), documents, tally)
                yield tally
        except CrmError as error:  # rights, module or storage are gone: what is written stays
            tally.stopped = error
            yield tally

    async def _chosen(
        self, access: RecordAccess, selected: Selected, tally: BulkTally
    ) -> AsyncIterator[Sequence[Document]]:
        for at in range(0, len(selected.chosen), _CHUNK):
            found = []
            for id_, _ in selected.chosen[at : at + _CHUNK]:
                try:
                    found.append(await self._reads.detail(access, id_))
                except NotFound as error:
                    tally.refuse(id_, error.code, error.detail)
            yield found

    async def _all(self, access: RecordAccess, selected: Selected) -> AsyncIterator[Sequence[Document]]:
        """Pages by creation, which no change moves a record in."""
        parameters = {**(selected.parameters or {}), "sort": "created_at", "limit": str(_CHUNK)}
        while True:
            listing = await self._reads.list(access, parameters)
            yield listing.documents
            if listing.next_cursor is None:
                return
            parameters["cursor"] = listing.next_cursor

    async def _written(
        self, access: RecordAccess, documents: Sequence[Document], patch_of: PatchOf, tally: BulkTally
    ) -> None:
        sent, items = [], []
        for document in documents:
            try:
                items.append({**await patch_of(document), "id": document.id, "if_revision": document.revision})
                sent.append(document)
            except RecordError as error:
                tally.refuse(document, error.code, error.detail)
        batch = Batch(data={"items": items}, atomic=False, request_id="", instance="", idempotent=None)
        results = msgspec.json.decode((await self._batches.run(access, batch)).body)["results"]
        for document, result in zip(sent, results, strict=True):
            if problem := result.get("problem"):
                messages = [one["message"] for one in problem.get("errors", ())]
                tally.refuse(document, problem["code"], " ".join(messages) or problem["detail"])
            else:
                tally.count(document, result["revision"])

    async def _moved(self, access: RecordAccess, document: Document, revision: int, *, archived: bool) -> WriteResult:
        conditions = Preconditions(f'"{revision}"') if revision else UNCONDITIONAL
        move = self._archive.archive if archived else self._archive.restore
        return await move(access, document.id, conditions)


def _name(document: Document) -> str:
    return str(msgspec.json.decode(document.body)["name"])

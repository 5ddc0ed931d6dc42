"""Reading records: one, a page of a list, a whole selection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable

import msgspec

from crm_core.errors import NotFound
from crm_core.model.recent import Recent
from crm_core.plugin.storage import Document, Page, PageQuery
from crm_core.records.guarded_store import GuardedStore, RecordAccess
from crm_core.records.list_query import Parameters, Position, Selection, read_paging, read_selection, refuse_paging
from crm_core.workspace.cursors import Cursors

EXPORT_PAGE = 200  # records read at a time, so that an export blocks no other request


class Listing(msgspec.Struct, frozen=True):
    """A page of a list; ``total`` is None unless requested."""

    documents: tuple[Document, ...]
    next_cursor: str | None
    total: int | None

    @property
    def body(self) -> bytes:
        """The page as JSON, with the records as they are stored."""
        rest = msgspec.json.encode({"next_cursor": self.next_cursor, "total": self.total})
        return b'{"items":[%b],%b' % (b",".join([document.body for document in self.documents]), rest[1:])


class RecordReads:
    """Reads of all record types. If the workspace changed before a read, the guard decides again."""

    def __init__(self, store: GuardedStore, cursors: Cursors) -> None:
        self._store = store
        self._cursors = cursors
        self._selected: Recent[Hashable, tuple[Selection, PageQuery]] = Recent(256)

    async def detail(self, access: RecordAccess, id: str) -> Document:  # noqa: A002 -- the wire's
        """One record, archived or not. Raises NotFound, also for an id of another tenant."""
        while True:
            workspace = await self._store.authorize(access, "view")
            read = await self._store.read(access, id)
            if read.revision <= workspace.revision:
                break
        if read.document is None:
            raise NotFound("There is no record with this id.")
        return read.document

    async def list(self, access: RecordAccess, parameters: Parameters) -> Listing:
        """A page. Raises InvalidParameter, InvalidCursor."""
        workspace = await self._store.authorize(access, "view")
        selection, query = self._select(access, parameters)
        while True:
            page = await self._store.backend.page(access.tenant, query)
            if page.revision <= workspace.revision:
                break
            workspace = await self._store.authorize(access, "view")
        following = None if page.next is None else self._cursors.make(selection.context, page.next)
        return Listing(page.documents, following, page.total)

    async def ids(self, access: RecordAccess, parameters: Parameters, most: int) -> tuple[str, ...]:
        """The ids of a selection, at most so many of its first ones. Raises AccessError, InvalidParameter."""
        selection = read_selection(access.shape, access.tenant, parameters)
        query = selection.query(access.shape, limit=most, after=None)
        while True:
            workspace = await self._store.authorize(access, "view")
            page = await self._store.backend.page(access.tenant, query)
            if page.revision <= workspace.revision:
                return tuple(document.id for document in page.documents)

    def _select(self, access: RecordAccess, parameters: Parameters) -> tuple[Selection, PageQuery]:
        """The selection of a page and its query. Those of first pages are cached: the same few are read again."""
        sent = (access.tenant, access.shape.name, frozenset(parameters.items()))
        found = self._selected.get(sent)
        if found is None:
            selection = read_selection(access.shape, access.tenant, parameters)
            paging = read_paging(parameters, selection, self._cursors)
            query = selection.query(access.shape, limit=paging.limit, after=paging.after, total=paging.total)
            found = selection, query
            if paging.after is None and "q" not in parameters:
                self._selected.add(sent, found)
        return found

    async def export(self, access: RecordAccess, parameters: Parameters) -> AsyncIterator[tuple[Document, ...]]:
        """The whole selection in pages. Raises before the first page; a later error ends the stream."""
        await self._store.authorize(access, "view", "export")
        refuse_paging(parameters)
        selection = read_selection(access.shape, access.tenant, parameters)
        first = await self._exported(access, selection, None)
        return self._pages(access, selection, first)

    async def _pages(
        self, access: RecordAccess, selection: Selection, page: Page
    ) -> AsyncIterator[tuple[Document, ...]]:
        yield page.documents
        while page.next is not None:
            page = await self._exported(access, selection, page.next)
            yield page.documents

    async def _exported(self, access: RecordAccess, selection: Selection, after: Position | None) -> Page:
        query = selection.query(access.shape, limit=EXPORT_PAGE, after=after)
        while True:
            workspace = await self._store.authorize(access, "view", "export")
            page = await self._store.backend.page(access.tenant, query)
            if page.revision <= workspace.revision:
                return page

"""Reading records: one, a page of a list, a whole selection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from functools import cached_property
from typing import Final

import msgspec

from crm_core.model.caller import Caller
from crm_core.model.recent import Recent
from crm_core.plugin.storage import Document, Page, PageQuery
from crm_core.records.guarded_store import GuardedStore, RecordAccess, existing
from crm_core.records.list_query import Parameters, Position, Selection, read_paging, read_selection, refuse_paging
from crm_core.workspace.cursors import Cursors

EXPORT_PAGE = 200  # records read at a time, so that an export blocks no other request
_SHORT: Final = 64 * 1024  # bytes of a page that is cached

Current = Callable[[str, Caller], Awaitable[Caller]]
"""Looks up a caller of a tenant again, with their current rights. Raises Unauthenticated."""


class Listing(msgspec.Struct, frozen=True, dict=True):
    """A page of a list; ``total`` is None unless requested."""

    documents: tuple[Document, ...]
    next_cursor: str | None
    total: int | None

    @cached_property
    def body(self) -> bytes:
        """The page as JSON, with the records as they are stored."""
        rest = msgspec.json.encode({"next_cursor": self.next_cursor, "total": self.total})
        return b'{"items":[%b],%b' % (b",".join([document.body for document in self.documents]), rest[1:])


class _SelectedPage(msgspec.Struct):
    """A selected page: its query, and what it was when it was last read."""

    selection: Selection
    query: PageQuery
    last: Listing | None = None


class RecordReads:
    """Reads of all record types. If the workspace changed before a read, the guard decides again."""

    def __init__(self, store: GuardedStore, cursors: Cursors) -> None:
        self._store = store
        self._cursors = cursors
        self._cached: Recent[Hashable, _SelectedPage] = Recent(256)

    async def detail(self, access: RecordAccess, id: str) -> Document:  # noqa: A002 -- the wire's
        """One record, archived or not. Raises NotFound, also for an id of another tenant."""
        seen = access.caller.seen
        while True:
            workspace = await self._store.authorize(access, "view", seen=seen)
            seen = None
            read = await self._store.read(access, id)
            if read.revision <= workspace.revision:
                return existing(read.document)

    async def list(self, access: RecordAccess, parameters: Parameters) -> Listing:
        """A page. Raises InvalidParameter, InvalidCursor."""
        workspace = await self._store.authorize(access, "view", seen=access.caller.seen)
        selected = self._selected(access, parameters)
        while True:
            page = await self._store.backend.page(access.tenant, selected.query)
            if page.revision <= workspace.revision:
                break
            workspace = await self._store.authorize(access, "view")
        if selected.last is not None and selected.last.documents is page.documents:  # nothing has been written since
            return selected.last
        following = None if page.next is None else self._cursors.make(selected.selection.context, page.next)
        listing = Listing(page.documents, following, page.total)
        selected.last = listing if sum([len(document.body) for document in page.documents]) <= _SHORT else None
        return listing

    async def ids(self, access: RecordAccess, parameters: Parameters, most: int) -> tuple[str, ...]:
        """The ids of a selection, at most so many of its first ones. Raises AccessError, InvalidParameter."""
        selection = read_selection(access.shape, access.tenant, parameters)
        query = selection.query(access.shape, limit=most, after=None)
        page = await self._page(access, query, "view")
        return tuple(document.id for document in page.documents)

    def _selected(self, access: RecordAccess, parameters: Parameters) -> _SelectedPage:
        """The first page that these parameters select, cached without a search; or another page, read once."""
        sent = (access.tenant, access.shape.name, frozenset(parameters.items()))
        found = self._cached.get(sent)
        if found is None:
            selection = read_selection(access.shape, access.tenant, parameters)
            paging = read_paging(parameters, selection, self._cursors)
            query = selection.query(access.shape, limit=paging.limit, after=paging.after, total=paging.total)
            found = _SelectedPage(selection, query)
            if paging.after is None and "q" not in parameters:
                self._cached.add(sent, found)
        return found

    async def export(
        self, access: RecordAccess, parameters: Parameters, current: Current
    ) -> AsyncIterator[tuple[Document, ...]]:
        """The whole selection in pages. Raises before the first page; a later error ends the stream.

        It may take as long as its reader likes, so the caller is looked up again for each page: one who signed out, was
        disabled or has a revoked token gets no more.
        """
        await self._store.authorize(access, "view", "export")
        refuse_paging(parameters)
        selection = read_selection(access.shape, access.tenant, parameters)
        first = await self._exported(access, selection, None)
        return self._pages(access, selection, first, current)

    async def _pages(
        self, access: RecordAccess, selection: Selection, page: Page, current: Current
    ) -> AsyncIterator[tuple[Document, ...]]:
        yield page.documents
        while page.next is not None:
            caller = await current(access.tenant, access.caller)
            page = await self._exported(msgspec.structs.replace(access, caller=caller), selection, page.next)
            yield page.documents

    async def _exported(self, access: RecordAccess, selection: Selection, after: Position | None) -> Page:
        return await self._page(access, selection.query(access.shape, limit=EXPORT_PAGE, after=after), "view", "export")

    async def _page(self, access: RecordAccess, query: PageQuery, *actions: str) -> Page:
        while True:
            workspace = await self._store.authorize(access, *actions)
            page = await self._store.backend.page(access.tenant, query)
            if page.revision <= workspace.revision:
                return page

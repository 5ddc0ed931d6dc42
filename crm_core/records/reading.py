"""Reading records: one, a page of a list, a whole selection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import msgspec

from crm_core.errors import NotFound
from crm_core.plugin.storage import Document, Page
from crm_core.records.guarded_store import Call, GuardedStore
from crm_core.records.list_query import Place, Selection, read_paging, read_selection, refuse_paging
from crm_core.workspace.cursors import Cursors

EXPORT_PAGE = 200  # records read at once, so that an export keeps nobody waiting


class Listing(msgspec.Struct, frozen=True):
    """A page of a list; ``total`` is None where it was not asked for."""

    documents: tuple[Document, ...]
    next_cursor: str | None
    total: int | None

    @property
    def body(self) -> bytes:
        """The page as the wire shows it: the records as they are stored."""
        rest = msgspec.json.encode({"next_cursor": self.next_cursor, "total": self.total})
        return b'{"items":[%b],%b' % (b",".join(document.body for document in self.documents), rest[1:])


class Reads:
    """Reads of all record types. A row read after the guard's view of the workspace has aged is decided on anew."""

    def __init__(self, ground: GuardedStore, cursors: Cursors) -> None:
        self._ground = ground
        self._cursors = cursors

    async def detail(self, call: Call, id: str) -> Document:  # noqa: A002 -- the wire's
        """One record. Raises NotFound, alike for a missing id and another tenant's."""
        while True:
            workspace = await self._ground.allowed(call, "view")
            read = await self._ground.backend.get(call.tenant, call.shape.collection, id)
            if read.revision <= workspace.revision:
                break
        if read.document is None:
            raise NotFound("There is no record with this id.")
        return read.document

    async def list(self, call: Call, parameters: Mapping[str, str]) -> Listing:
        """A page. Raises InvalidParameter, InvalidCursor."""
        workspace = await self._ground.allowed(call, "view")
        selection = read_selection(call.shape, call.tenant, parameters)
        paging = read_paging(parameters, selection, self._cursors)
        query = selection.query(call.shape.collection, limit=paging.limit, after=paging.after, total=paging.total)
        while True:
            page = await self._ground.backend.page(call.tenant, query)
            if page.revision <= workspace.revision:
                break
            workspace = await self._ground.allowed(call, "view")
        following = None if page.next is None else self._cursors.make(selection.context, page.next)
        return Listing(page.documents, following, page.total)

    async def export(self, call: Call, parameters: Mapping[str, str]) -> AsyncIterator[tuple[Document, ...]]:
        """The whole selection in pages. What can be refused is refused here; later the stream ends with the error."""
        await self._ground.allowed(call, "view", "export")
        refuse_paging(parameters)
        selection = read_selection(call.shape, call.tenant, parameters)
        first = await self._exported(call, selection, None)
        return self._pages(call, selection, first)

    async def _pages(self, call: Call, selection: Selection, page: Page) -> AsyncIterator[tuple[Document, ...]]:
        yield page.documents
        while page.next is not None:
            page = await self._exported(call, selection, page.next)
            yield page.documents

    async def _exported(self, call: Call, selection: Selection, after: Place | None) -> Page:
        query = selection.query(call.shape.collection, limit=EXPORT_PAGE, after=after)
        while True:
            workspace = await self._ground.allowed(call, "view", "export")
            page = await self._ground.backend.page(call.tenant, query)
            if page.revision <= workspace.revision:
                return page

"""Pages of collections: first pages are cached until their tenant commits, since the same few are read again."""

from __future__ import annotations

from typing import Final

import msgspec

from crm_core.model.recent import Recent
from crm_core.plugin.storage import Document, Page, PageQuery
from crm_postgresql.database import Database
from crm_postgresql.keys import value_of
from crm_postgresql.pages import PageSQL
from crm_postgresql.reads import Reads, StoreMoment

_PAGE: Final = "SELECT crm.page(%s, %s, %s, %s, %s, %s, %s, %s)"
_CACHED: Final = 256  # pages of a process
_LONGEST: Final = 65_536  # characters of one that is cached


class _Found(msgspec.Struct, frozen=True, array_like=True):
    """The result of ``crm.page``, with one row more if another page follows."""

    epoch: str
    revision: int
    seq: int
    total: int | None
    rows: list[tuple[str, int, msgspec.Raw, str]]  # id, revision, body, key


_found = msgspec.json.Decoder(_Found)
_encode = msgspec.json.Encoder().encode


class FirstPages:
    """Reads pages. A cached one is returned if its tenant is at the moment that it was read at: one read asks that."""

    def __init__(self, database: Database, reads: Reads) -> None:
        self._database, self._reads = database, reads
        self._cached: Recent[tuple[str, bytes], tuple[StoreMoment, Page]] = Recent(_CACHED)

    async def get(self, tenant: str, query: PageQuery) -> Page:
        """A page. Raises as ``Database.rows``."""
        if query.after is not None or query.terms:
            return (await self._read(tenant, query))[1]
        place = tenant, _encode(query)
        cached = self._cached.get(place)
        if cached is not None and cached[0] == await self._reads.moment(tenant):
            return cached[1]
        length, page, moment = await self._read(tenant, query)
        if length <= _LONGEST:
            self._cached.add(place, (moment, page))
        return page

    async def _read(self, tenant: str, query: PageQuery) -> tuple[int, Page, StoreMoment]:
        sql = PageSQL(query)
        statements = sql.probes, sql.few, sql.walks, sql.total, sql.texts
        ((text,),) = await self._database.rows(_PAGE, (tenant, query.collection, query.limit + 1, *statements))
        found = _found.decode(text)
        return len(text), _page_of(query, found), StoreMoment(found.epoch, found.seq)


def _page_of(query: PageQuery, found: _Found) -> Page:
    rows, more = found.rows[: query.limit], len(found.rows) > query.limit
    following = (value_of(rows[-1][3]), rows[-1][0]) if more else None
    documents = tuple(Document(query.collection, id_, at, bytes(body)) for id_, at, body, _ in rows)
    return Page(documents, following, found.revision, found.total)

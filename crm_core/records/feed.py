"""The change feed: the records' part of the change log, as callers may see it, and the history of one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from crm_core.errors import CursorExpired, NotFound
from crm_core.model.caller import Caller
from crm_core.model.change_cursor import ChangeCursor, cursor_text
from crm_core.model.change_log import ChangeEntry, RecordChange
from crm_core.model.diff import Change
from crm_core.plugin.storage import StorageBackend, StoredChange
from crm_core.records.guarded_store import GuardedStore, RecordAccess
from crm_core.records.shape import Shape, archive_of, collection_of
from crm_core.workspace import Workspace, may, require
from crm_core.workspace.cursors import Cursors

MOST_ITEMS: Final = 500
MOST_BYTES: Final = 8 * 1024 * 1024 - 4096  # of items in an answer; the rest is small
MOST_SCANNED: Final = 5000  # entries, those of other types included, that one answer looks at
_BATCH: Final = 500  # entries read at a time

_encode_lines = msgspec.json.Encoder().encode_lines


class ChangeItem(msgspec.Struct, frozen=True):
    """An entry of the change feed. ``record``: the record as it is now, null once erased; only if requested."""

    cursor: str
    type: str
    id: str
    external_id: str | None
    revision: int
    change: RecordChange
    changes: tuple[Change, ...]
    at: str
    actor: str | None
    request_id: str | None
    record: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


class FeedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the feed. ``after`` None: from now on; ``types`` empty: all that the caller may view."""

    after: ChangeCursor | None
    types: tuple[str, ...] = ()
    limit: int = MOST_ITEMS
    records: bool = False


class FeedPage(msgspec.Struct, frozen=True):
    """Entries as JSON, the cursor after them, whether the log has more, and the types that it covers."""

    items: tuple[bytes, ...]
    next: ChangeCursor
    more: bool
    types: tuple[str, ...]

    @property
    def body(self) -> bytes:
        """The page as JSON."""
        rest = msgspec.json.encode({"next": str(self.next), "more": self.more, "types": self.types})
        return b'{"items":[%b],%b' % (b",".join(self.items), rest[1:])


class RecordHistory(msgspec.Struct, frozen=True):
    """A page of a record's history, newest first. ``epoch``: of the change log."""

    entries: tuple[StoredChange, ...]
    epoch: str
    next_cursor: str | None

    @property
    def body(self) -> bytes:
        """The page as JSON."""
        return msgspec.json.encode({"items": _items(self.epoch, self.entries), "next_cursor": self.next_cursor})


class ChangeFeed:
    """Reads of the change log. A read that a change of the workspace overtakes is decided again."""

    def __init__(self, store: GuardedStore, shapes: Mapping[str, Shape], cursors: Cursors) -> None:
        self._store = store
        self._shapes = shapes
        self._cursors = cursors

    @property
    def _backend(self) -> StorageBackend:
        return self._store.backend

    async def read(self, tenant: str, caller: Caller, query: FeedQuery) -> FeedPage:
        """The entries after a cursor, in commit order. Raises AccessError for a named type, CursorExpired."""
        while True:
            workspace = await self._store.workspace(tenant)
            page = await self._read(tenant, query, self._types(workspace, caller, query.types))
            if await self._store.workspace(tenant) is workspace:
                return page

    def _types(self, workspace: Workspace, caller: Caller, named: tuple[str, ...]) -> tuple[str, ...]:
        for name in named:
            require(workspace, caller, f"{name}.view")
        return named or tuple(name for name in self._shapes if may(workspace, caller, f"{name}.view"))

    async def _read(self, tenant: str, query: FeedQuery, types: tuple[str, ...]) -> FeedPage:
        after = query.after
        page = await self._backend.changes(tenant, None if after is None else after.place, min(query.limit, _BATCH))
        if after is None:
            return FeedPage((), ChangeCursor(page.epoch, page.newest), more=False, types=types)
        if page.entries is None or page.epoch != after.epoch:
            raise CursorExpired(
                "The change feed no longer continues from this cursor. Start over: read `changes` without `after`, "
                "keep its `next`, read all lists, then continue from there."
            )
        items: list[bytes] = []
        size, place = 0, after.place
        while page.entries:
            covered = [stored for stored in page.entries if stored.entry.type in types][: query.limit - len(items)]
            lines = _encode_lines(_items(page.epoch, covered))
            texts = lines.split(b"\n")[:-1]
            if query.records or size + len(lines) > MOST_BYTES:
                for stored, text in zip(covered, texts, strict=True):
                    item = await self._with_record(tenant, text, stored.entry) if query.records else text
                    size += len(item) + 1
                    if items and size > MOST_BYTES:
                        before = ChangeCursor(page.epoch, stored.place - 1)
                        return FeedPage(tuple(items), before, more=True, types=types)
                    items.append(item)
            else:
                items += texts
                size += len(lines)
            place = covered[-1].place if len(items) == query.limit else page.entries[-1].place
            if len(items) == query.limit or place - after.place >= MOST_SCANNED:
                break
            page = await self._backend.changes(tenant, place, _BATCH)
        return FeedPage(tuple(items), ChangeCursor(page.epoch, place), more=place < page.newest, types=types)

    async def _with_record(self, tenant: str, item: bytes, entry: ChangeEntry) -> bytes:
        live, archived = collection_of(entry.type), archive_of(entry.type)
        for collection in (live, archived, live):  # it may be restored between two reads
            document = (await self._backend.get(tenant, collection, entry.id)).document
            if document is not None:
                return b'%b,"record":%b}' % (item[:-1], document.body)
        return item[:-1] + b',"record":null}'

    async def history(self, access: RecordAccess, id: str, limit: int, cursor: str | None = None) -> RecordHistory:  # noqa: A002 -- the wire's word
        """The retained entries of a record, newest first. Raises AccessError, NotFound, InvalidCursor."""
        shape, context = access.shape, f"history\n{access.tenant}\n{access.shape.name}\n{id}"
        before = None if cursor is None else self._cursors.read(context, cursor)
        while True:
            workspace = await self._store.authorize(access, "view")
            if (await self._store.read(access, id)).document is None:
                raise NotFound("There is no record with this id.")
            found = await self._backend.history(access.tenant, shape.name, id, before, limit + 1)
            epoch = (await self._backend.changes(access.tenant, None)).epoch
            if await self._store.workspace(access.tenant) is workspace:
                break
        entries, more = found[:limit], len(found) > limit
        if entries and not more and entries[-1].entry.change != "created":  # the store may have stopped early
            more = bool(await self._backend.history(access.tenant, shape.name, id, entries[-1].place, 1))
        return RecordHistory(entries, epoch, self._cursors.make(context, entries[-1].place) if more else None)


def _items(epoch: str, entries: Sequence[StoredChange]) -> list[ChangeItem]:
    cursor = cursor_text(epoch, "")
    return [
        ChangeItem(
            f"{cursor}{stored.place}",
            entry.type,
            entry.id,
            entry.external_id,
            entry.revision,
            entry.change or "updated",
            entry.changes,
            entry.at,
            entry.actor,
            entry.request_id,
        )
        for stored in entries
        for entry in (stored.entry,)
    ]

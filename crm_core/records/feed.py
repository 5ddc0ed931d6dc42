"""The change feed: the records' part of the change log, as callers may see it, and the history of one record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from crm_core.errors import CursorExpired
from crm_core.model.caller import Caller
from crm_core.model.change_cursor import ChangeCursor, cursor_text
from crm_core.model.change_log import RECORD_HEAD, ChangeEntry, RecordChange
from crm_core.model.diff import Change
from crm_core.plugin.storage import StorageBackend, StoredChange
from crm_core.records.guarded_store import GuardedStore, RecordAccess, existing
from crm_core.records.shape import Shape
from crm_core.workspace import Workspace, may, require
from crm_core.workspace.cursors import Cursors

MOST_ITEMS: Final = 500
MOST_BYTES: Final = 8 * 1024 * 1024 - 4096  # of items in an answer; the rest is small
MOST_SCANNED: Final = 5000  # entries, those of other types included, that one answer looks at
_BATCH: Final = 500  # entries read at a time

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ChangeEntry).decode


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


class _Subject(msgspec.Struct, frozen=True):
    """The place and the record of an item."""

    cursor: str
    type: str
    id: str

    @property
    def place(self) -> int:
        return int(self.cursor.rpartition("-")[2])


_subject: Final = msgspec.json.Decoder(_Subject).decode


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
    """A page of the history of a record of a type, newest first. ``epoch``: of the change log."""

    type: str
    entries: tuple[StoredChange, ...]
    epoch: str
    next_cursor: str | None

    @property
    def body(self) -> bytes:
        """The page as JSON."""
        entries = [(stored.place, _encode(stored.entry)) for stored in self.entries]
        items = b",".join(_items(self.epoch, entries, (self.type,)))
        return b'{"items":[%b],"next_cursor":%b}' % (items, _encode(self.next_cursor))


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
        if page.texts is None or page.epoch != after.epoch:
            raise CursorExpired(
                "The change feed no longer continues from this cursor. Start over: read `changes` without `after`, "
                "keep its `next`, read all lists, then continue from there."
            )
        items: list[bytes] = []
        size, place = 0, after.place
        while page.texts:
            found = _items(page.epoch, enumerate(page.texts, page.after + 1), types)
            if len(found) < len(page.texts):  # others are of other types, of the workspace, or were written otherwise
                found = _items(page.epoch, enumerate(map(_as_written_now, page.texts), page.after + 1), types)
            found = found[: query.limit - len(items)]
            found_size = sum(map(len, found)) + len(found)
            if query.records or size + found_size > MOST_BYTES:
                for plain in found:
                    item = await self._with_record(tenant, plain) if query.records else plain
                    size += len(item) + 1
                    if items and size > MOST_BYTES:
                        before = ChangeCursor(page.epoch, _subject(plain).place - 1)
                        return FeedPage(tuple(items), before, more=True, types=types)
                    items.append(item)
            else:
                items += found
                size += found_size
            place = _subject(items[-1]).place if len(items) == query.limit else page.after + len(page.texts)
            if len(items) == query.limit or place - after.place >= MOST_SCANNED:
                break
            page = await self._backend.changes(tenant, place, _BATCH)
        return FeedPage(tuple(items), ChangeCursor(page.epoch, place), more=place < page.newest, types=types)

    async def _with_record(self, tenant: str, item: bytes) -> bytes:
        subject = _subject(item)
        document = (await self._store.record(tenant, subject.type, subject.id)).document
        return b'%b,"record":%b}' % (item[:-1], b"null" if document is None else document.body)

    async def history(self, access: RecordAccess, id: str, limit: int, cursor: str | None = None) -> RecordHistory:  # noqa: A002 -- the wire's word
        """The retained entries of a record, newest first. Raises AccessError, NotFound, InvalidCursor."""
        shape, context = access.shape, f"history\n{access.tenant}\n{access.shape.name}\n{id}"
        before = None if cursor is None else self._cursors.read(context, cursor)
        while True:
            workspace = await self._store.authorize(access, "view")
            existing((await self._store.read(access, id)).document)
            found = await self._backend.history(access.tenant, shape.name, id, before, limit + 1)
            epoch = (await self._backend.changes(access.tenant, None)).epoch
            if await self._store.workspace(access.tenant) is workspace:
                break
        entries, more = found[:limit], len(found) > limit
        if entries and not more and entries[-1].entry.change != "created":  # the store may have stopped early
            more = bool(await self._backend.history(access.tenant, shape.name, id, entries[-1].place, 1))
        return RecordHistory(
            shape.name, entries, epoch, self._cursors.make(context, entries[-1].place) if more else None
        )


def _as_written_now(text: bytes) -> bytes:
    """An entry as it is encoded now; only one that was written otherwise is decoded for it."""
    return text if text.startswith(RECORD_HEAD) else _encode(_decode(text))


def _items(epoch: str, entries: Iterable[tuple[int, bytes]], types: tuple[str, ...]) -> list[bytes]:
    """The entries that are of records of these types, given with their places, as items of the feed."""
    heads = tuple([b'%b"type":"%b",' % (RECORD_HEAD, name.encode()) for name in types])
    cursor, rest = cursor_text(epoch, "").encode(), len(RECORD_HEAD)
    return [b'{"cursor":"%b%d",%b' % (cursor, place, text[rest:]) for place, text in entries if text.startswith(heads)]

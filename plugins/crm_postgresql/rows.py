"""Rows of the database as values of the interface."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from crm_core.model.change_log import ChangeEntry
from crm_core.model.log import LogEntry
from crm_core.model.times import from_wire, to_wire
from crm_core.plugin.storage import Document, Page, PageQuery, Read, StoredChange
from crm_postgresql.keys import value_of

_entry = msgspec.json.Decoder(LogEntry)
_change = msgspec.json.Decoder(ChangeEntry)
_page = msgspec.json.Decoder(tuple[int, int | None, list[tuple[str, int, msgspec.Raw, str]]])


def read_of(collection: str, rows: list[tuple[Any, ...]]) -> Read:
    """The document of a row, and the workspace's revision."""
    workspace, id_, revision, body = rows[0]
    return Read(None if id_ is None else Document(collection, id_, revision, body.encode()), workspace)


def page_of(query: PageQuery, text: str) -> Page:
    """The page that ``crm.page`` found, which has one row more if another follows."""
    revision, total, rows = _page.decode(text)
    following = (value_of(rows[query.limit - 1][3]), rows[query.limit - 1][0]) if len(rows) > query.limit else None
    documents = tuple(Document(query.collection, id_, at, bytes(body)) for id_, at, body, _ in rows[: query.limit])
    return Page(documents, following, revision, total)


def entry_of(text: str, prev_hash: str | None, entry_hash: str | None) -> LogEntry:
    """An entry of the chain, or an attempt."""
    entry = _entry.decode(text)
    if entry_hash is None:
        return entry
    return msgspec.structs.replace(entry, prev_hash=prev_hash, entry_hash=entry_hash)


def changes_of(rows: list[tuple[Any, ...]]) -> tuple[StoredChange, ...]:
    """Entries of the change log."""
    return tuple(StoredChange(place, _change.decode(text)) for place, text in rows)


def start_of(newest: str | None, days: int) -> str | None:
    """The time before which entries are dropped; None if all stay."""
    return None if not days or newest is None else to_wire(from_wire(newest) - timedelta(days=days))

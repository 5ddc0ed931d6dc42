"""Rows of the database as values of the interface."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from crm_core.model.change_log import ChangeEntry
from crm_core.model.log import LogEntry
from crm_core.model.times import from_wire, to_wire
from crm_core.plugin.storage import Document, Read, StoredChange

_entry = msgspec.json.Decoder(LogEntry)
_change = msgspec.json.Decoder(ChangeEntry)


def read_of(collection: str, rows: list[tuple[Any, ...]]) -> Read:
    """The document of a row, and the workspace's revision."""
    workspace, id_, revision, body = rows[0]
    return Read(None if id_ is None else Document(collection, id_, revision, body.encode()), workspace)


def entry_of(text: str, prev_hash: str | None, entry_hash: str | None) -> LogEntry:
    """An entry of the chain, or an attempt."""
    entry = _entry.decode(text)
    if entry_hash is None:
        return entry
    return msgspec.structs.replace(entry, prev_hash=prev_hash, entry_hash=entry_hash)


def change_of(place: int, text: str) -> StoredChange:
    """An entry of the change log."""
    return StoredChange(place, _change.decode(text))


def start_of(newest: str | None, days: int) -> str | None:
    """The time before which entries are dropped; None if all stay."""
    return None if not days or newest is None else to_wire(from_wire(newest) - timedelta(days=days))

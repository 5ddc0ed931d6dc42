"""The change log's entry: something that happened in a tenant, as event streams, feed and histories show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from crm_core.model.diff import Change

RECORD_CHANGED: Final = "record.changed"
SYNC_APPLIED: Final = "sync.applied"
MODULES_CHANGED: Final = "modules.changed"

RecordChange = Literal["created", "updated", "archived", "restored", "erased"]


class ChangeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. ``event`` names the event of event streams, ``at`` is an RFC 3339 time.

    Of the workspace: ``data``, as event streams show it. Of a record: its ``type``, ``id`` and ``external_id``, its
    ``revision`` after the ``change``, and the members that an update changed. The JSON of an entry of a record is an
    item of the change feed after ``RECORD_HEAD``, so the feed is made of entries as they are stored.
    """

    event: str
    data: Mapping[str, Any] | None = None
    type: str = ""
    id: str = ""
    external_id: str | None = None
    revision: int = 0
    change: RecordChange | None = None
    changes: tuple[Change, ...] = ()
    at: str
    actor: str | None = None
    request_id: str | None = None


RECORD_HEAD: Final = msgspec.json.encode(ChangeEntry(event=RECORD_CHANGED, at="")).partition(b'"type"')[0]
"""The beginning of the JSON of every entry of a record."""


def redacted(entry: ChangeEntry) -> ChangeEntry:
    """An entry from before its record was erased: only type, id, revision, change and time are left."""
    return msgspec.structs.replace(entry, external_id=None, actor=None, request_id=None, changes=())

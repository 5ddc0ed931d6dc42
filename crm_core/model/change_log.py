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


class ChangeEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry. ``event`` names the event of event streams, ``at`` is an RFC 3339 time.

    Of a record: its ``type``, ``id`` and ``external_id``, its ``revision`` after the ``change``, and the members that
    an update changed. Of the workspace: ``data``, as event streams show it.
    """

    event: str
    at: str
    actor: str | None = None
    request_id: str | None = None
    type: str = ""
    id: str = ""
    external_id: str | None = None
    revision: int = 0
    change: RecordChange | None = None
    changes: tuple[Change, ...] = ()
    data: Mapping[str, Any] | None = None


def redacted(entry: ChangeEntry) -> ChangeEntry:
    """An entry from before its record was erased: only type, id, revision, change and time are left."""
    return msgspec.structs.replace(entry, external_id=None, actor=None, request_id=None, changes=())

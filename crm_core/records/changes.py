"""The entries of the change log that writes of records make."""

from __future__ import annotations

from crm_core.model.change_log import RECORD_CHANGED, ChangeEntry, RecordChange
from crm_core.model.diff import Change
from crm_core.records.guarded_store import RecordAccess
from crm_core.records.shape import Stamps


def entry_of(
    access: RecordAccess,
    change: RecordChange,
    record: tuple[str, str | None],
    stamps: Stamps,
    changes: tuple[Change, ...] = (),
) -> ChangeEntry:
    """The entry of a record, given by id and external id, with its stamps after the change."""
    id_, external_id = record
    return ChangeEntry(
        event=RECORD_CHANGED,
        at=stamps.updated_at,
        actor=access.caller.actor,
        request_id=access.request_id,
        type=access.shape.name,
        id=id_,
        external_id=external_id,
        revision=stamps.revision,
        change=change,
        changes=changes,
    )

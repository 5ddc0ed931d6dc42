"""Activities: dated notes, calls, meetings and emails with a customer or on a deal."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from crm_core.model.folded_text import is_visible, one_line
from crm_core.model.record_members import Line, Moment, Notes, RecordId
from crm_core.plugin.record_type import RecordType, Reference

_LONGEST_NAME = 200


class Activity(Struct, forbid_unknown_fields=True, kw_only=True):
    """The members of an activity."""

    name: Line | None = None
    kind: Literal["note", "call", "meeting", "email"] = "note"
    text: Notes | None = None
    at: Moment | None = None
    customer_id: RecordId | None = None
    deal_id: RecordId | None = None
    owner: Line | None = None


class Activities(RecordType):
    """Notes, calls, meetings and emails."""

    NAME = "activities"
    TITLE = "Activities"
    SINGULAR = "Activity"
    RECORD = Activity
    SORTABLE = ("name", "kind", "at")
    FILTERABLE = ("name", "kind", "at", "customer_id", "deal_id", "owner")
    SEARCHED = ("name",)
    REFERENCES = (Reference("customer_id", "customers"), Reference("deal_id", "deals"))
    COLUMNS = ("name", "kind", "at", "customer_id", "owner")
    OWNER = "owner"
    MODULE = "customers"

    def complete(self, record: Activity, before: Activity | None) -> Any:  # noqa: ARG002 -- the interface's
        """Name an activity without a name after the first line of its text that shows something."""
        if record.name is not None or record.text is None:
            return record
        first = next((line for line in record.text.splitlines() if is_visible(line)), "")
        return replace(record, name=one_line(one_line(first.replace("\t", " "))[:_LONGEST_NAME]) or None)

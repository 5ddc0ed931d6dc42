"""Tasks: things to do for a customer or a deal, with due date and assignee."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct

from crm_core.model.record_members import Custom, Day, Line, Notes, RecordId, Tags
from crm_core.plugin.record_type import Due, RecordType, Reference


class Task(Struct, forbid_unknown_fields=True, kw_only=True):
    """The members of a task."""

    name: Line
    customer_id: RecordId | None = None
    deal_id: RecordId | None = None
    due_on: Day | None = None
    done: bool = False
    assignee: Line | None = None
    tags: Tags = []
    notes: Notes | None = None
    custom: Custom = {}


class Tasks(RecordType):
    """Things to do."""

    NAME = "tasks"
    TITLE = "Tasks"
    SINGULAR = "Task"
    RECORD = Task
    LABELS: ClassVar[Mapping[str, str]] = {"custom": "More fields"}
    SORTABLE = ("name", "due_on", "done", "assignee")
    FILTERABLE = ("name", "customer_id", "deal_id", "due_on", "done", "assignee", "tags")
    SEARCHED = ("name",)
    REFERENCES = (Reference("customer_id", "customers"), Reference("deal_id", "deals"))
    OWNER = "assignee"
    DUE = Due("due_on", done="done")
    COLUMNS = ("name", "customer_id", "deal_id", "due_on", "done", "assignee")

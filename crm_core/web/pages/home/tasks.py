"""My tasks: records of any type that has a flag ``done`` and a colleague, and perhaps a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, NamedTuple

import msgspec

from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.formats import Formats
from crm_core.web.pages.layout.parts import Mark
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CellRenderer, is_person
from crm_core.web.pages.records.queries import records_of

DONE: Final = "done"
_SHOWN: Final = 6


class TaskMembers(NamedTuple):
    """The members that make a record a task; ``day`` is empty if it has none."""

    person: str
    day: str


class TaskItem(msgspec.Struct, frozen=True, kw_only=True):
    """A task."""

    href: str
    name: str
    revision: int
    about: str
    done: bool
    due: Mark | None


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    """My tasks of one type."""

    title: str
    href: str
    may_update: bool
    items: tuple[TaskItem, ...]


def task_members(record_type: RecordType) -> TaskMembers | None:
    """The members that make a type's records tasks; None if they are none."""
    filterable = record_type.FILTERABLE
    person = next((one.name for one in record_type.members if is_person(one) and one.name in filterable), None)
    is_task = any(one.name == DONE and one.kind == "flag" for one in record_type.members) and DONE in filterable
    if person is None or not is_task:
        return None
    day = next((one.name for one in record_type.members if one.kind == "date" and one.name in record_type.SORTABLE), "")
    return TaskMembers(person, day)


async def tasks_of(context: PageContext, record_type: RecordType) -> TaskList:
    """My open records of a type, the first due ones first, those without a day last."""
    members = task_members(record_type)
    assert members is not None
    found: dict[str, dict[str, Any]] = {}
    for me in dict.fromkeys((context.caller.email, context.caller.name)):
        parameters = {DONE: "false", members.person: me, "limit": "50", "sort": members.day or "-updated_at"}
        records, _ = await records_of(context, record_type.NAME, parameters)
        found |= {record["id"]: record for record in records}
    mine = sorted(found.values(), key=lambda record: (record.get(members.day) or "9", record["created_at"]))
    cells = CellRenderer(context, record_type)
    path = f"{context.root}/{record_type.NAME}"
    return TaskList(
        title=context.workspace.modules.states[record_type.NAME].title.lower(),
        href=f"{path}?{DONE}=false",
        may_update=context.may(f"{record_type.NAME}.update", writes=True),
        items=tuple([await _item(context, cells, record_type, record, members) for record in mine[:_SHOWN]]),
    )


async def _item(
    context: PageContext, cells: CellRenderer, record_type: RecordType, record: Mapping[str, Any], members: TaskMembers
) -> TaskItem:
    about = ""
    for reference in record_type.REFERENCES:
        if not about and record.get(reference.member):
            about = (await cells.cell(reference.member, record)).text
    day = record.get(members.day)
    return TaskItem(
        href=f"{context.root}/{record_type.NAME}/{record['id']}",
        name=record["name"],
        revision=record["revision"],
        about=about,
        done=record[DONE],
        due=_due(context.formats, day) if day else None,
    )


def _due(formats: Formats, day: str) -> Mark:
    due, today = date.fromisoformat(day), formats.now.date()
    if due < today:
        return Mark("bad", "clock", f"Overdue since {formats.day(due).short}")
    return Mark("warn", "clock", "Today") if due == today else Mark("idle", "clock", formats.day(due).short)

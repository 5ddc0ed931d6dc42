"""My tasks: records of any type that says who owns them, when they are due and when they are done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, NamedTuple

import msgspec

from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.formats import Formats
from crm_core.web.pages.layout.parts import Mark
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CellRenderer
from crm_core.web.pages.records.queries import records_of

_SHOWN: Final = 6


class TaskMembers(NamedTuple):
    """The members that make a record a task."""

    owner: str
    day: str
    done: str


class TaskItem(msgspec.Struct, frozen=True, kw_only=True):
    """A task."""

    href: str
    name: str
    revision: int
    about: str
    member: str
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
    due = record_type.DUE
    if record_type.OWNER is None or due is None or due.done is None:
        return None
    return TaskMembers(record_type.OWNER, due.day, due.done)


async def tasks_of(context: PageContext, record_type: RecordType) -> TaskList:
    """My open records of a type, the first due ones first, those without a day last."""
    members = task_members(record_type)
    assert members is not None
    found: dict[str, dict[str, Any]] = {}
    for me in dict.fromkeys((context.caller.email, context.caller.name)):
        parameters = {members.done: "false", members.owner: me, "limit": "50", "sort": members.day}
        records, _ = await records_of(context, record_type.NAME, parameters)
        found |= {record["id"]: record for record in records}
    mine = sorted(found.values(), key=lambda record: (record.get(members.day) or "9", record["created_at"]))
    cells = CellRenderer(context, record_type)
    path = f"{context.root}/{record_type.NAME}"
    return TaskList(
        title=context.title_of(record_type).lower(),
        href=f"{path}?{members.done}=false",
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
        member=members.done,
        done=record[members.done],
        due=_due(context.formats, day) if day else None,
    )


def _due(formats: Formats, day: str) -> Mark:
    due, today = date.fromisoformat(day), formats.now.date()
    if due < today:
        return Mark("bad", "clock", f"Overdue since {formats.day(due).short}")
    return Mark("warn", "clock", "Today") if due == today else Mark("idle", "clock", formats.day(due).short)

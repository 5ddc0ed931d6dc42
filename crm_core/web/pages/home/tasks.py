"""My tasks of today: records of any type that says whose they are, when they are due and when they are done."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from crm_core.language import gettext, noun
from crm_core.plugin.record_type import RecordType
from crm_core.records.figures import Row
from crm_core.web.pages.layout.parts import Mark, PageLink
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.board_rows import rows_of
from crm_core.web.pages.records.cells import CellRenderer, due_mark
from crm_core.web.pages.records.queries import TypeRows

_SHOWN: Final = 10  # of each group
_SOON: Final = timedelta(days=7)


class TaskMembers(NamedTuple):
    """The members that make a record a task."""

    owner: str
    day: str
    done: str


class TaskItem(msgspec.Struct, frozen=True, kw_only=True):
    """A task; ``about``: the records that it refers to."""

    href: str
    name: str
    revision: int
    about: tuple[PageLink, ...]
    member: str
    done: bool
    mark: Mark | None


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    """My tasks of one type: those overdue, and those of today with what was done today."""

    name: str
    my: str
    all_my: str
    sub: str
    href: str
    create: str
    create_text: str
    may_update: bool
    late: int
    due: int
    done: int
    overdue: tuple[TaskItem, ...]
    today: tuple[TaskItem, ...]
    later: str


def task_members(record_type: RecordType) -> TaskMembers | None:
    """The members that make a type's records tasks; None if they are none."""
    due = record_type.DUE
    if record_type.OWNER is None or due is None or due.done is None:
        return None
    return TaskMembers(record_type.OWNER, due.day, due.done)


class MyTasks:
    """My tasks of a type."""

    def __init__(self, context: PageContext, record_type: RecordType, members: TaskMembers) -> None:
        self._context, self._type, self._members = context, record_type, members
        self._rows = TypeRows(context, record_type)
        self._day, self._is_done = self._rows.value(members.day), self._rows.value(members.done)
        self._cells = CellRenderer(context, record_type)
        self._today = context.formats.now.date()

    async def view(self) -> TaskList:
        """The list for the page."""
        context, members, name = self._context, self._members, self._type.NAME
        me = context.caller.email, context.caller.name
        mine = await rows_of(await self._rows.all(), self._rows.value(members.owner), *me)
        waiting = sorted(
            (row for row in mine if not self._is_done(row)), key=lambda row: (self._day(row) or "9", row.id)
        )
        today, soon = self._today.isoformat(), (self._today + _SOON).isoformat()
        overdue = [row for row in waiting if (self._day(row) or "9") < today]
        due = [row for row in waiting if self._day(row) == today]
        later = [row for row in waiting if today < (self._day(row) or "") <= soon]
        done = await self._done_today(mine)
        path = f"{context.root}/{name}"
        query = {members.done: "false", members.owner: context.caller.email, "sort": members.day}
        return TaskList(
            name=name,
            my=gettext("My {records}", records=noun(context.title_of(self._type))),
            all_my=gettext("All my {records}", records=noun(context.title_of(self._type))),
            sub=self._sub(len(overdue), len(due), len(later), len(waiting)),
            href=f"{path}?{urlencode(query)}",
            create=f"{path}/new" if context.may(f"{name}.create", writes=True) else "",
            create_text=context.one_of(self._type),
            may_update=context.may(f"{name}.update", writes=True),
            late=len(overdue),
            due=len(due),
            done=len(done),
            overdue=tuple([await self._item(row) for row in overdue[:_SHOWN]]),
            today=tuple(
                [await self._item(row, done.get(row.id)) for row in [*due[:_SHOWN], *self._finished(mine, done)]]
            ),
            later=self._later(later),
        )

    def _finished(self, rows: list[Row], done: dict[str, str]) -> list[Row]:
        return sorted((row for row in rows if row.id in done), key=lambda row: done[row.id], reverse=True)[:_SHOWN]

    async def _done_today(self, mine: list[Row]) -> dict[str, str]:
        """When each task that was finished today was, by id."""
        start = self._context.formats.start_of(self._today)
        rows = [row for row in mine if self._is_done(row) and row.updated_at >= start]
        found = await self._rows.since(rows, self._members.done)
        return {id_: at for id_, at in found.items() if at is not None and at >= start}

    async def _item(self, row: Row, done_at: str | None = None) -> TaskItem:
        root, about = self._context.root, []
        for reference in self._type.REFERENCES:
            id_ = self._rows.value(reference.member)(row)
            name = await self._cells.name_of(reference.record_type, id_) if id_ else None
            if name:
                about.append(PageLink(f"{root}/{reference.record_type}/{id_}", name))
        return TaskItem(
            href=f"{root}/{self._type.NAME}/{row.id}",
            name=row.name,
            revision=row.revision,
            about=tuple(about),
            member=self._members.done,
            done=done_at is not None,
            mark=self._mark(self._day(row), done_at),
        )

    def _mark(self, day: str | None, done_at: str | None) -> Mark | None:
        formats = self._context.formats
        if done_at is not None:
            return Mark("ok", "check", gettext("Done {time}", time=formats.clock(done_at)[:5]))
        return due_mark(formats, day) if day else None

    def _sub(self, overdue: int, due: int, later: int, waiting: int) -> str:
        """The counts in one line; a sentence if nothing is due."""
        if not waiting:
            return gettext("You have no open {records}.", records=noun(self._context.title_of(self._type)))
        return ", ".join(filter(None, (due_text(self._context, overdue, due), self._soon(later))))

    def _soon(self, count: int) -> str:
        return gettext("{n} in the next 7 days", n=self._context.formats.number(count)) if count else ""

    def _later(self, rows: list[Row]) -> str:
        if not rows:
            return ""
        day = self._context.formats.weekday(date.fromisoformat(self._day(rows[0])))
        number = self._context.formats.number(len(rows))
        return gettext("{n} in the next 7 days: next is “{name}”, {day}", n=number, name=rows[0].name, day=day)


def due_text(context: PageContext, overdue: int, due: int) -> str:
    """How many tasks are overdue, and due today."""
    number = context.formats.number
    if overdue and due:
        return gettext("{n} overdue, {due} due today", n=number(overdue), due=number(due))
    if overdue:
        return gettext("{n} overdue, nothing due today", n=number(overdue))
    return gettext("{n} due today", n=number(due)) if due else gettext("Nothing is due today")

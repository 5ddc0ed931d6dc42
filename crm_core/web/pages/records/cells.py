"""Values of records as readers see them: by the kind of each member, never by its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from markupsafe import Markup, escape

from crm_core.language import gettext, gettext_noop, ngettext
from crm_core.plugin.member import Kind, Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.formats import Formats
from crm_core.web.pages.layout.labels import choice_labels, member_label
from crm_core.web.pages.layout.parts import Mark
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.typed_values import OF_ANOTHER_FORM, free_text


class Cell(NamedTuple):
    """A value with its label: as text, and as the HTML that shows it, with everything in it escaped."""

    label: str
    text: str
    html: Markup
    mark: Mark | None = None
    tags: tuple[str, ...] = ()

    @property
    def is_blank(self) -> bool:
        """Whether there is no value."""
        return self.html is _NOTHING


_MARKS: Final[Mapping[str, tuple[str, str]]] = {
    "active": ("ok", "check"),
    "won": ("ok", "check"),
    "done": ("ok", "check"),
    "lead": ("info", "bolt"),
    "new": ("info", "bolt"),
    "qualified": ("info", "eye"),
    "proposal": ("warn", "mail"),
    "pending": ("warn", "clock"),
    "inactive": ("idle", "pause"),
    "lost": ("idle", "x"),
    "closed": ("idle", "lock"),
}
"""Tones of words that CRMs use for states; any other word is neutral."""

_BY: Final = "_by"
HIDDEN: Final = gettext_noop("Not visible to you")
_NOTHING: Final = Markup('<span class="muted">&ndash;</span>')  # a page of nothing but ASCII is encoded faster
_LINES: Final = Markup('<span class="text" dir="auto">{}</span>')
_NUMBERS: Final = ("integer", "number", "decimal")
_EMPTY: Final[tuple[Any, ...]] = ([], {})
_YES, _NO = Mark("ok", "check", gettext_noop("Yes")), Mark("idle", "minus", gettext_noop("No"))

CORE_LABELS: Final[Mapping[str, str]] = {
    "id": gettext_noop("ID"),
    "external_id": gettext_noop("External ID"),
    "created_at": gettext_noop("Created"),
    "updated_at": gettext_noop("Updated"),
    "created_by": gettext_noop("Created by"),
    "updated_by": gettext_noop("Changed by"),
    "revision": gettext_noop("Revision"),
}


def mark_of(member: Member, value: str) -> Mark:
    """A value of a choice as a state."""
    tone, icon = _MARKS.get(value, ("idle", "minus"))
    return Mark(tone, icon, dict(choice_labels(member)).get(value, value))


def due_mark(formats: Formats, day: str) -> Mark | None:
    """How urgent an open record is that is due on a day; None if the day is still to come."""
    try:
        late = (formats.now.date() - date.fromisoformat(day)).days
    except OF_ANOTHER_FORM:
        return None
    if late < 0:
        return None
    if late == 0:
        return Mark("warn", "clock", gettext("Today"))
    return Mark("bad", "clock", ngettext("{n} day late", "{n} days late", late, n=formats.number(late)))


def first_of_kind(record_type: RecordType, kind: Kind) -> Member | None:
    """The first member of a kind, such as the amount of a sale or the text of a note."""
    return next((member for member in record_type.members if member.kind == kind), None)


def day_member(record_type: RecordType) -> Member | None:
    """The date that pages show with a record's name: when it is due, else when it closes, else its first one."""
    due, pipeline = record_type.DUE, record_type.PIPELINE
    named = due.day if due else pipeline.closes_on if pipeline else None
    return next((one for one in record_type.members if one.kind == "date" and named in (None, one.name)), None)


def is_picked(member: Member) -> bool:
    """Whether the value of a member is chosen by the name of a record or colleague."""
    return member.reference is not None or member.is_person


class RowTable(NamedTuple):
    """The rows of a list of objects: their members as heads, whether each is a number, and the cells of each row."""

    label: str
    heads: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[Cell, ...], ...]


class CellRenderer:
    """Turns the values of records of one type into cells; the name of each referenced record is looked up once.

    ``ticks``: the flag that says that a record is done is a button that sets it.
    """

    def __init__(self, context: PageContext, record_type: RecordType, *, ticks: bool = False) -> None:
        self.context = context
        self.record_type = record_type
        self._parts = context.site.renderer.parts
        self.ticks = record_type.DUE.done if ticks and record_type.DUE else None
        self._names: dict[tuple[str, str], str | None] = {}
        self._members = {member.name: member for member in record_type.members}

    async def cell(self, name: str, record: Mapping[str, Any]) -> Cell:
        """The value of a member, or of one that the core maintains."""
        value = record.get(name)
        member = self._members.get(name)
        if member is None:
            return await self._core_member(name, value)
        if value is None or value in _EMPTY:
            return Cell(member_label(member), "", _NOTHING)
        if member.is_person:
            person = await self.context.names.colleague(value)
            return Cell(member_label(member), person, self._parts.who(person))
        if member.kind == "reference":
            return await self._reference(member, value)
        return self._shown(member, value, record)

    def _shown(self, member: Member, value: Any, record: Mapping[str, Any]) -> Cell:
        """A value by its kind; as it is stored if it has another form, from before the type changed."""
        try:
            return self._plain(member, value, record)
        except OF_ANOTHER_FORM:
            text = free_text(value)
            return Cell(member_label(member), text, escape(text))

    def _plain(self, member: Member, value: Any, record: Mapping[str, Any]) -> Cell:
        if member.kind == "choice":
            mark = mark_of(member, value)
            return Cell(member_label(member), mark.text, self._parts.badge(mark), mark)
        if member.kind == "flag":
            if member.name == self.ticks:
                return Cell(member_label(member), "", self.tick(record))
            mark = (_YES if value else _NO).translated
            return Cell(member_label(member), mark.text, self._parts.badge(mark))
        if member.kind == "texts":
            return Cell(member_label(member), ", ".join(value), self._parts.tags(tuple(value)), None, tuple(value))
        if member.kind == "moment":
            moment = self.context.formats.moment(value)
            return Cell(member_label(member), moment.full, self._parts.when(moment))
        if member.kind == "date":
            day, urgency = self.context.formats.day(value), self.urgency(member, record)
            html = self._parts.badge(urgency._replace(text=day.short)) if urgency else self._parts.when(day)
            return Cell(member_label(member), day.short, html)
        text, href = self._text(member, value, record), _link(member, value)
        if href:
            return Cell(member_label(member), text, link(href, text))
        return Cell(member_label(member), text, _LINES.format(text) if "\n" in text else escape(text))

    def urgency(self, member: Member, record: Mapping[str, Any]) -> Mark | None:
        """How urgent an open record is, if the member is its due day."""
        due, day = self.record_type.DUE, record.get(member.name)
        if due is None or member is not self._members.get(due.day) or not day or (due.done and record.get(due.done)):
            return None
        return due_mark(self.context.formats, day)

    def is_urgent(self, name: str, record: Mapping[str, Any]) -> bool:
        """Whether a member is the day on which an open record is due, and that day has come."""
        return name in self._members and self.urgency(self._members[name], record) is not None

    def tables(self, record: Mapping[str, Any]) -> Iterator[RowTable]:
        """The lists of objects of a record that are not empty."""
        for member in self.record_type.members:
            rows = record.get(member.name)
            if member.kind == "rows" and rows and isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
                heads = tuple((member_label(one), one.kind in _NUMBERS) for one in member.members)
                yield RowTable(member_label(member), heads, tuple(self._row(member, row, record) for row in rows))

    def _row(self, member: Member, row: Mapping[str, Any], record: Mapping[str, Any]) -> tuple[Cell, ...]:
        """The cells of a row; its amounts are in the currency of the record."""
        return tuple(
            Cell(member_label(one), "", _NOTHING)
            if (value := row.get(one.name)) is None
            else self._shown(one, value, record)
            for one in member.members
        )

    def tick(self, record: Mapping[str, Any]) -> Markup:
        """The button that says that a record is done, or not."""
        assert self.ticks is not None
        path = f"{self.context.root}/{self.record_type.NAME}/{record['id']}"
        return self._parts.tick(path, self.ticks, record["revision"], record["name"], done=record[self.ticks])

    def references(self, record: Mapping[str, Any], names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """What these cells show by name: record type and id, no type and a colleague's email, ``_BY`` and an author."""
        for name in names:
            member, value = self._members.get(name), record.get(name)
            if member is None and value and name.endswith(_BY):
                yield _BY, value  # one's own changes are by "You"
            elif member is not None and value:
                if member.reference is not None:
                    yield member.reference, value
                elif member.is_person:
                    yield "", value

    async def referenced_name(self, record_type: str, value: str) -> str | None:
        """The name of a referenced record, colleague or author."""
        if record_type == _BY:
            return await self.context.names.actor(value)
        return await self.name_of(record_type, value) if record_type else await self.context.names.colleague(value)

    async def name_of(self, record_type: str, record_id: str) -> str | None:
        """The name of a record; None if there is none or the user may not view it."""
        key = (record_type, record_id)
        if key not in self._names:
            self._names[key] = await self._named(record_type, record_id)
        return self._names[key]

    async def _named(self, record_type: str, record_id: str) -> str | None:
        if not self.context.may(f"{record_type}.view"):
            return None
        return await self.context.services.records.name_of(self.context.tenant, record_type, record_id)

    async def _core_member(self, name: str, value: Any) -> Cell:
        label = gettext(CORE_LABELS[name])
        if name.endswith("_at"):
            moment = self.context.formats.moment(value)
            return Cell(label, moment.short, self._parts.when(moment)) if moment else Cell(label, "", _NOTHING)
        text = await self.context.names.actor(value) if name.endswith(_BY) else "" if value is None else str(value)
        return Cell(label, text, escape(text) if text else _NOTHING)

    async def _reference(self, member: Member, value: str) -> Cell:
        assert member.reference is not None
        name = await self.name_of(member.reference, value)
        if name is None:
            hidden = gettext(HIDDEN)
            return Cell(member_label(member), hidden, Markup('<span class="muted">{}</span>').format(hidden))
        return Cell(member_label(member), name, link(f"{self.context.root}/{member.reference}/{value}", name))

    def _text(self, member: Member, value: Any, record: Mapping[str, Any]) -> str:
        if member.kind == "decimal":
            return self.context.formats.money(value, currency_in(self.record_type, record))
        if member.kind == "rows":
            cells = (self._row(member, row, record) for row in value)
            return "\n".join(", ".join(cell.text for cell in row if cell.text) for row in cells)
        if member.kind == "object":
            return "\n".join(str(inner) for inner in value.values() if inner is not None)
        if member.kind == "entries":
            return "\n".join(f"{name}: {free_text(inner)}" for name, inner in value.items())
        if member.kind == "integer":
            return self.context.formats.number(value)
        return str(value)


def currency_in(record_type: RecordType, record: Mapping[str, Any]) -> str | None:
    """The currency that a record names for its amounts."""
    member = first_of_kind(record_type, "currency")
    return None if member is None else record.get(member.name)


def link(href: str, text: str) -> Markup:
    """A link; built without Markup.format, which costs five times as much, since pages have many."""
    return Markup(f'<a href="{escape(href)}" dir="auto">{escape(text)}</a>')  # noqa: S704 -- both parts are escaped


def _link(member: Member, value: Any) -> str:
    """The link of a contact detail, which was checked when it was written."""
    if member.kind == "email":
        return f"mailto:{value}"
    return f"tel:{''.join(c for c in value if c in '+0123456789')}" if member.kind == "phone" else ""

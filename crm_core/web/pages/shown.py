"""Values of records as readers see them: by the kind of each member, never by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.records.shape import collection_of
from crm_core.web.pages.formats import Moment
from crm_core.web.pages.people import PERSON_MEMBERS

if TYPE_CHECKING:
    from crm_core.web.pages.visit import Visit


@dataclass(frozen=True, slots=True)
class Mark:
    """A state: its tone, icon and word, always all three."""

    tone: str
    icon: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value with its label; at most one of the forms besides ``text`` is set."""

    label: str
    text: str = ""
    css: str = ""
    mark: Mark | None = None
    tags: tuple[str, ...] = ()
    person: str = ""
    moment: Moment | None = None
    href: str = ""


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
"""Tones of words that CRMs use for states; any other word is calm."""

OWNED_LABELS: Final[Mapping[str, str]] = {
    "id": "Id",
    "external_id": "External id",
    "created_at": "Created",
    "updated_at": "Updated",
    "created_by": "Created by",
    "updated_by": "Changed by",
    "revision": "Revision",
}


def mark_of(member: Member, value: str) -> Mark:
    """The state that a choice's value is."""
    tone, icon = _MARKS.get(value, ("idle", "minus"))
    return Mark(tone, icon, dict(member.choices).get(value, value))


def is_person(member: Member) -> bool:
    """Whether a member holds a colleague."""
    return member.kind == "text" and member.name in PERSON_MEMBERS


class Shower:
    """Turns the values of records of one type into cells; names of referenced records are looked up once each."""

    def __init__(self, visit: Visit, record_type: RecordType) -> None:
        self._visit = visit
        self._type = record_type
        self._names: dict[tuple[str, str], str | None] = {}

    async def cell(self, name: str, record: Mapping[str, Any]) -> Cell:
        """The value of a member, or of one of those that the core owns."""
        value = record.get(name)
        if name in OWNED_LABELS:
            return await self._owned(name, value)
        member = self._type.member(name)
        blank = Cell(label=member.label)
        if value is None or value in ([], {}):
            return blank
        if member.kind == "choice":
            return replace(blank, mark=mark_of(member, value), text=dict(member.choices).get(value, value))
        if member.kind == "flag":
            return replace(blank, mark=Mark("ok", "check", "Yes") if value else Mark("idle", "minus", "No"))
        if member.kind == "texts":
            return replace(blank, tags=tuple(value), text=", ".join(value))
        if member.kind == "date":
            day = self._visit.formats.day(value)
            return replace(blank, moment=day, text=day.short)
        if member.kind == "reference":
            return await self._reference(member, value)
        if is_person(member):
            person = await self._visit.people.addressed(value)
            return replace(blank, person=person, text=person)
        return replace(blank, text=self._text(member, value, record), href=_link(member, value))

    async def name_of(self, record_type: str, record_id: str) -> str | None:
        """The name of a record; None where there is none, or the user may not see it."""
        key = (record_type, record_id)
        if key not in self._names:
            self._names[key] = await self._named(record_type, record_id)
        return self._names[key]

    async def _named(self, record_type: str, record_id: str) -> str | None:
        visit = self._visit
        if not visit.may(f"{record_type}.view"):
            return None
        read = await visit.services.backend.get(visit.tenant, collection_of(record_type), record_id)
        return None if read.document is None else str(msgspec.json.decode(read.document.body)["name"])

    async def _owned(self, name: str, value: Any) -> Cell:
        blank = Cell(label=OWNED_LABELS[name])
        if name.endswith("_at"):
            moment = self._visit.formats.moment(value)
            return replace(blank, moment=moment, text=moment.short if moment else "")
        if name.endswith("_by"):
            return replace(blank, text=await self._visit.people.actor(value))
        return replace(blank, text="" if value is None else str(value))

    async def _reference(self, member: Member, value: str) -> Cell:
        assert member.reference is not None
        name = await self.name_of(member.reference, value)
        if name is None:
            return Cell(label=member.label, text="Not visible to you")
        return Cell(label=member.label, text=name, href=f"{self._visit.root}/{member.reference}/{value}")

    def _text(self, member: Member, value: Any, record: Mapping[str, Any]) -> str:
        if member.kind == "decimal":
            return self._visit.look.manner.money(value, currency_in(self._type, record))
        if member.kind == "object":
            return "\n".join(str(inner) for inner in value.values() if inner is not None)
        if member.kind == "entries":
            return "\n".join(f"{name}: {told(inner)}" for name, inner in value.items())
        if member.kind == "integer":
            return self._visit.look.manner.number(value)
        return str(value)


def currency_in(record_type: RecordType, record: Mapping[str, Any]) -> str | None:
    """The currency that a record names for its amounts."""
    for member in record_type.members:
        if member.kind == "currency":
            found: str | None = record.get(member.name)
            return found
    return None


def told(value: Any) -> str:
    """A value of a free member as text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _link(member: Member, value: Any) -> str:
    """Where a contact detail leads; what it holds was checked when it was written."""
    if member.kind == "email":
        return f"mailto:{value}"
    return f"tel:{''.join(c for c in value if c in '+0123456789')}" if member.kind == "phone" else ""

"""Fields of forms: the control of each member, with its hint, error and question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, get_args

import msgspec

from crm_core.language import gettext, gettext_noop
from crm_core.plugin.member import Member
from crm_core.web.pages.layout.labels import choice_labels, member_label
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.records.cells import is_picked
from crm_core.web.pages.records.typed_values import entries_of

_KINDS: Final[Mapping[str, str]] = {
    "paragraphs": "area",
    "email": "email",
    "phone": "tel",
    "choice": "select",
    "flag": "check",
    "entries": "pairs",
}
_HINTS: Final[Mapping[str, str]] = {
    "texts": gettext_noop("Separate values with commas"),
    "entries": gettext_noop("A field on the left, its value on the right. Clear a field to remove it."),
    "moment": gettext_noop("For example now, or 24 Nov 14:30"),
    "date": gettext_noop("For example 4 Dec, tomorrow or Friday"),
    "currency": gettext_noop("A currency code, for example EUR"),
}
_READ: Final = ("decimal", "number", "integer", "date", "moment")
"""Kinds that are read by rules, so that the reading is shown below the field."""
_LIMITED: Final = ("text", "email", "phone", "paragraphs", "currency")
_BLANK_PAIRS: Final = 2


class Pair(NamedTuple):
    """An entry of a free object."""

    key: str
    value: str


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a form. ``kind``: ``select``, ``area``, ``check``, ``pairs``, or the type of an input.

    ``read``: the text is read by rules. ``question``: the readings of an ambiguous text, or the matches of a picker's,
    whose text is ``shown``; ``refers``: the record type that it chooses from.
    """

    name: str
    label: str
    kind: str = "text"
    value: str = ""
    required: bool = False
    wide: bool = False
    hint: str = ""
    error: str = ""
    longest: int | None = None
    auto: str = ""
    options: tuple[Option, ...] = ()
    shown: str = ""
    refers: str = ""
    pairs: tuple[Pair, ...] = ()
    read: bool = False
    question: tuple[Option, ...] = ()

    @property
    def id(self) -> str:
        """The name as an id."""
        return self.name.replace(".", "-")


class Group(msgspec.Struct, frozen=True):
    """Fields of an object member."""

    label: str
    fields: tuple[Field, ...]


class RowGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a list of objects; ``blank``: a new one, for the script."""

    name: str
    label: str
    error: str
    rows: tuple[tuple[Field, ...], ...]
    blank: tuple[Field, ...]


def field_of(member: Member, name: str, value: str, *, error: str, shown: str, question: tuple[Option, ...]) -> Field:
    """The field of a member. ``shown``: the text of a picker."""
    kind = "picker" if is_picked(member) else _KINDS.get(member.kind, "text")
    return Field(
        name=name,
        label=member_label(member),
        kind=kind,
        value=value,
        required=member.required,
        wide=name == "name" or kind in ("area", "pairs"),
        hint=gettext(_HINTS[member.kind]) if member.kind in _HINTS else "",
        error=error,
        longest=member.max_length if kind == "picker" or member.kind in _LIMITED else None,
        options=_options(member),
        shown=shown,
        refers=member.reference or "",
        pairs=_pairs(value) if kind == "pairs" else (),
        read=member.kind in _READ,
        question=question,
    )


def is_optional(member: Member) -> bool:
    """Whether the member may be blank."""
    return type(None) in get_args(member.type)


def _options(member: Member) -> tuple[Option, ...]:
    options = choice_labels(member)
    return (Option("", gettext("None")), *options) if is_optional(member) and options else options


def _pairs(value: str) -> tuple[Pair, ...]:
    return (*(Pair(name, text) for name, text in entries_of(value).items()), *[Pair("", "")] * _BLANK_PAIRS)

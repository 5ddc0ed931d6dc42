"""Forms of records: the control of each member, the texts of a sent form, and the merge patch that they mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import msgspec
from msgspec.structs import replace

from crm_core.errors import Finding, InvalidRecord
from crm_core.model.record_members import AMOUNT_DECIMALS
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.records.cells import is_person
from crm_core.web.pages.records.typed_values import (
    ambiguity,
    as_text,
    entries_of,
    entries_patch,
    entries_text,
    parsed,
    separate_texts,
)

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict

Values = dict[str, str]
"""The texts of a form by the name of the field: ``email``, ``address.city``. Lists are one text, entries are JSON."""

_KINDS: Final[Mapping[str, str]] = {
    "paragraphs": "area",
    "email": "email",
    "phone": "tel",
    "choice": "select",
    "reference": "select",
    "flag": "check",
    "date": "date",
    "entries": "pairs",
}
_HINTS: Final[Mapping[str, str]] = {
    "texts": "Separate values with commas",
    "entries": "Names on the left, values on the right. Clear a name to remove it.",
    "decimal": f"For example 1250.00, with up to {AMOUNT_DECIMALS} decimals",
    "currency": "A currency code, for example EUR",
}
_LIMITED: Final = ("text", "email", "phone", "paragraphs", "currency")
_BLANK_PAIRS: Final = 2


class Pair(NamedTuple):
    """An entry of a free object."""

    key: str
    value: str


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a form. ``kind``: ``select``, ``area``, ``check``, ``pairs``, or the type of an input."""

    name: str
    label: str
    kind: str = "text"
    value: str = ""
    required: bool = False
    wide: bool = False
    locked: bool = False
    hint: str = ""
    error: str = ""
    longest: int | None = None
    auto: str = ""
    options: tuple[Option, ...] = ()
    suggestions: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()

    @property
    def id(self) -> str:
        """The name as an id."""
        return self.name.replace(".", "-")


class Group(msgspec.Struct, frozen=True):
    """Fields of an object member."""

    label: str
    fields: tuple[Field, ...]


class Choices(NamedTuple):
    """The choices of members: records by the member that refers to them, and colleagues."""

    references: Mapping[str, tuple[Option, ...]]
    colleagues: tuple[str, ...]


_NO_CHOICES: Final = Choices({}, ())


class RecordForm(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a record while it is edited; each step returns a changed copy.

    ``record``: as stored, empty for a new one. ``errors``: messages by the name of the field, by the empty name if
    they belong to no field.
    """

    type: RecordType
    record: Mapping[str, Any] = msgspec.field(default_factory=dict)
    values: Values
    choices: Choices = _NO_CHOICES
    errors: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def stored(self) -> Values:
        """The values of the stored record; none if it is new."""
        return values_of(self.type, self.record) if self.record else {}

    @classmethod
    def blank(cls, record_type: RecordType) -> RecordForm:
        """The form of a new record: every member at its default."""
        defaults = {
            field.encode_name: field.default
            for field in msgspec.structs.fields(record_type.RECORD)
            if isinstance(field.default, str | bool | int)
        }
        return cls(type=record_type, values=values_of(record_type, defaults))

    @classmethod
    def of(cls, record_type: RecordType, record: Mapping[str, Any]) -> RecordForm:
        """The form of a stored record."""
        return cls(type=record_type, record=record, values=values_of(record_type, record))

    def sent(self, form: MultiDict[str, str]) -> RecordForm:
        """The form as a browser sent it; fields that it lacks are blank."""
        values: Values = {}
        for name, member in leaves(self.type):
            if member.kind == "entries":
                pairs = zip(form.getlist(f"{name}.key"), form.getlist(f"{name}.value"), strict=False)
                values[name] = entries_text({key.strip(): value for key, value in pairs if key.strip()})
            else:
                values[name] = form.get(name, "").replace("\r\n", "\n")
        return replace(self, values=values)

    def refused(self, findings: Iterable[Finding]) -> RecordForm:
        """The form with the errors of its fields."""
        names = {name for name, _ in leaves(self.type)}
        errors: dict[str, str] = {}
        for finding in findings:
            parts = finding.pointer.removeprefix("/").split("/")
            name = ".".join(parts[:2]) if ".".join(parts[:2]) in names else parts[0]
            errors.setdefault(name if name in names else "", finding.message)
        return replace(self, errors=errors)

    def patch(self) -> dict[str, Any]:
        """The merge patch (RFC 7396) of the fields that differ from the record; of all filled ones if it is new.

        Raises:
            InvalidRecord: a number is ambiguous.
        """
        stored = self.stored
        changed = [
            (name, member, self.values[name])
            for name, member in leaves(self.type)
            if self.values[name] != stored.get(name, "")
        ]
        if findings := [finding for name, member, text in changed for finding in _ambiguous(name, member, text)]:
            raise InvalidRecord("A number is ambiguous.", errors=findings)
        patch: dict[str, Any] = {}
        for name, member, text in changed:
            outer, _, inner = name.partition(".")
            if inner:
                patch.setdefault(outer, {})[inner] = parsed(member, text)
            elif member.kind == "entries":
                patch[name] = entries_patch(text, self.record.get(name) or {})
            elif member.kind == "texts":
                patch[name] = separate_texts(text, self.record.get(name) or ())
            else:
                patch[name] = parsed(member, text)
        return patch

    def fields(self) -> list[Field]:
        """The fields outside objects; long ones, such as notes, come last."""
        found = [self._field(member.name, member) for member in self.type.members if member.kind != "object"]
        return sorted(found, key=lambda field: field.wide and field.name != "name")

    def groups(self) -> Iterator[Group]:
        """The fields of each object member."""
        for member in self.type.members:
            if member.kind == "object":
                inner = tuple(self._field(f"{member.name}.{one.name}", one) for one in member.members)
                yield Group(member.label, inner)

    def _field(self, name: str, member: Member) -> Field:
        value, kind = self.values.get(name, ""), _KINDS.get(member.kind, "text")
        return Field(
            name=name,
            label=member.label,
            kind=kind,
            value=value,
            required=member.required,
            wide=name == "name" or kind in ("area", "pairs"),
            hint=_HINTS.get(member.kind, ""),
            error=self.errors.get(name, ""),
            longest=member.max_length if member.kind in _LIMITED else None,
            options=self._options(name, member),
            suggestions=self.choices.colleagues if is_person(member) else (),
            pairs=_pairs(value) if kind == "pairs" else (),
        )

    def _options(self, name: str, member: Member) -> tuple[Option, ...]:
        if member.kind == "reference":
            options, optional = self.choices.references.get(name, ()), not member.required
        else:
            options, optional = tuple(Option(*choice) for choice in member.choices), is_optional(member)
        return (Option("", "None"), *options) if optional and member.kind in ("choice", "reference") else options


def leaves(record_type: RecordType) -> Iterator[tuple[str, Member]]:
    """Every member that has a field, by the field's name; members of objects by ``object.member``."""
    for member in record_type.members:
        if member.kind == "object":
            yield from ((f"{member.name}.{inner.name}", inner) for inner in member.members)
        else:
            yield member.name, member


def is_optional(member: Member) -> bool:
    """Whether the member may be blank."""
    return type(None) in get_args(member.type)


def values_of(record_type: RecordType, record: Mapping[str, Any]) -> Values:
    """A record as its form shows it."""
    found: Values = {}
    for name, member in leaves(record_type):
        outer, _, inner = name.partition(".")
        value = record.get(outer)
        found[name] = as_text(member, (value or {}).get(inner) if inner else value)
    return found


def _ambiguous(name: str, member: Member, text: str) -> Iterator[Finding]:
    if member.kind in ("decimal", "number") and (message := ambiguity(member.label, text)):
        yield Finding("/" + name.replace(".", "/"), "invalid_value", message)


def _pairs(value: str) -> tuple[Pair, ...]:
    return (*(Pair(name, text) for name, text in entries_of(value).items()), *[Pair("", "")] * _BLANK_PAIRS)

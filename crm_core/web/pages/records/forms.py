"""Forms of records: the control of each member, the texts of a sent form, and the merge patch that they mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import msgspec
from msgspec.structs import replace

from crm_core.errors import Finding, InvalidRecord
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.formats import Formats
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.records.cells import is_picked
from crm_core.web.pages.records.sentences import sentence_of
from crm_core.web.pages.records.typed_values import (
    as_text,
    entries_of,
    entries_patch,
    entries_text,
    read,
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
    "flag": "check",
    "entries": "pairs",
}
_HINTS: Final[Mapping[str, str]] = {
    "texts": "Separate values with commas",
    "entries": "A field on the left, its value on the right. Clear a field to remove it.",
    "moment": "For example now, or 24 Nov 14:30",
    "date": "For example 4 Dec, tomorrow or Friday",
    "currency": "A currency code, for example EUR",
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
    locked: bool = False
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


class RecordForm(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a record while it is edited; each step returns a changed copy.

    ``record``: as stored, empty for a new one. ``errors``: messages by the name of the field, by the empty name if
    they belong to no field. ``questions``: the readings of ambiguous texts by the name of the field.
    ``shown``: the texts of pickers by the name of the field.
    """

    type: RecordType
    formats: Formats
    record: Mapping[str, Any] = msgspec.field(default_factory=dict)
    values: Values
    shown: Mapping[str, str] = msgspec.field(default_factory=dict)
    errors: Mapping[str, str] = msgspec.field(default_factory=dict)
    questions: Mapping[str, tuple[Option, ...]] = msgspec.field(default_factory=dict)

    @property
    def stored(self) -> Values:
        """The values of the stored record; none if it is new."""
        return values_of(self.type, self.record, self.formats) if self.record else {}

    @classmethod
    def blank(cls, record_type: RecordType, formats: Formats) -> RecordForm:
        """The form of a new record: every member at its default."""
        defaults = {
            field.encode_name: field.default
            for field in msgspec.structs.fields(record_type.RECORD)
            if isinstance(field.default, str | bool | int)
        }
        return cls(type=record_type, formats=formats, values=values_of(record_type, defaults, formats))

    @classmethod
    def of(cls, record_type: RecordType, record: Mapping[str, Any], formats: Formats) -> RecordForm:
        """The form of a stored record."""
        values = values_of(record_type, record, formats)
        return cls(type=record_type, formats=formats, record=record, values=values)

    def sent(self, form: MultiDict[str, str]) -> RecordForm:
        """The form as a browser sent it: fields that it lacks are blank, the answer to a question replaces its text."""
        values: Values = {}
        for name, member in leaves(self.type):
            if member.kind == "entries":
                pairs = zip(form.getlist(f"{name}.key"), form.getlist(f"{name}.value"), strict=False)
                values[name] = entries_text({key.strip(): value for key, value in pairs if key.strip()})
            else:
                values[name] = form.get(f"form:reading:{name}", form.get(name, "")).replace("\r\n", "\n")
        return replace(self, values=values)

    def refused(self, findings: Iterable[Finding]) -> RecordForm:
        """The form with the errors of its fields."""
        members = dict(leaves(self.type))
        errors: dict[str, str] = {}
        for finding in findings:
            parts = finding.pointer.removeprefix("/").split("/")
            name = ".".join(parts[:2]) if ".".join(parts[:2]) in members else parts[0]
            if name in members:
                message = sentence_of(finding, members[name], self.values.get(name, ""), self.formats)
                errors.setdefault(name, message)
            else:
                errors.setdefault("", finding.message)
        questions = {
            name: reading.question
            for name in errors
            if name and (reading := read(members[name], self.values.get(name, ""), self.formats)).question
        }
        return replace(self, errors=errors, questions=questions)

    def patch(self) -> dict[str, Any]:
        """The merge patch (RFC 7396) of the fields that differ from the record; of all filled ones if it is new.

        An amount without a currency gets its own or, in a new record, that of the workspace.

        Raises:
            InvalidRecord: a number or date is ambiguous, or two fields name different currencies.
        """
        stored, findings, patch = self.stored, list[Finding](), dict[str, Any]()
        for name, member in leaves(self.type):
            text = self.values[name]
            if text == stored.get(name, ""):
                continue
            outer, _, inner = name.partition(".")
            reading = read(member, text, self.formats)
            if reading.error:
                findings.append(Finding("/" + name.replace(".", "/"), "unclear_value", reading.error))
            if inner:
                patch.setdefault(outer, {})[inner] = reading.value
            elif member.kind == "entries":
                patch[name] = entries_patch(text, self.record.get(name) or {})
            elif member.kind == "texts":
                patch[name] = separate_texts(text, self.record.get(name) or ())
            else:
                patch[name] = reading.value
        findings += self._with_currency(patch)
        if findings:
            raise InvalidRecord("Some values are not clear.", errors=findings)
        return patch

    def _with_currency(self, patch: dict[str, Any]) -> Iterator[Finding]:
        """Write the currency of a typed amount into the patch; the finding that it names another than its field."""
        code = next((member.name for member in self.type.members if member.kind == "currency"), None)
        amounts = [member for member in self.type.members if member.kind == "decimal" and patch.get(member.name)]
        if code is None or not amounts:
            return
        chosen = patch.get(code)
        for member in amounts:
            named = read(member, self.values[member.name], self.formats).currency
            if named and chosen and named != chosen:
                text = f"The amount names {named}, but the field {code} says {chosen}. Enter one currency."
                yield Finding("/" + member.name, "unclear_value", text)
            elif named:
                patch[code] = named
        if not patch.get(code) and not self.record:
            patch[code] = self.formats.regional.currency

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
        value = self.values.get(name, "")
        kind = "picker" if is_picked(member) else _KINDS.get(member.kind, "text")
        return Field(
            name=name,
            label=member.label,
            kind=kind,
            value=value,
            required=member.required,
            wide=name == "name" or kind in ("area", "pairs"),
            hint=_HINTS.get(member.kind, ""),
            error=self.errors.get(name, ""),
            longest=member.max_length if kind == "picker" or member.kind in _LIMITED else None,
            options=_options(member),
            shown=self.shown.get(name, ""),
            refers=member.reference or "",
            pairs=_pairs(value) if kind == "pairs" else (),
            read=member.kind in _READ,
            question=self.questions.get(name, ()),
        )


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


def values_of(record_type: RecordType, record: Mapping[str, Any], formats: Formats) -> Values:
    """A record as its form shows it."""
    found: Values = {}
    for name, member in leaves(record_type):
        outer, _, inner = name.partition(".")
        value = record.get(outer)
        found[name] = as_text(member, (value or {}).get(inner) if inner else value, formats.regional)
    return found


def _options(member: Member) -> tuple[Option, ...]:
    options = tuple(Option(*choice) for choice in member.choices)
    return (Option("", "None"), *options) if is_optional(member) and options else options


def _pairs(value: str) -> tuple[Pair, ...]:
    return (*(Pair(name, text) for name, text in entries_of(value).items()), *[Pair("", "")] * _BLANK_PAIRS)

"""Forms from record types: which control each member gets, what a form says, and the merge patch that it means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, get_args

import msgspec

from crm_core.errors import Finding, InvalidRecord
from crm_core.model.record_members import AMOUNT_DECIMALS
from crm_core.model.text_types import plain_integer
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.records.cells import is_person, told
from crm_core.web.pages.typed_values import plain_decimal, plain_number, separate_texts, two_readings

Values = dict[str, str]
"""What a form says, by the name of its field: ``email``, ``address.city``. Lists are one text, entries JSON."""

_KINDS: Final[Mapping[str, str]] = {
    "paragraphs": "area",
    "email": "email",
    "phone": "tel",
    "choice": "select",
    "flag": "check",
    "date": "date",
    "entries": "pairs",
}
_BLANK_PAIRS: Final = 2


class Pair(NamedTuple):
    """A member of a free object."""

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
    """What there is to choose from: records by the member that refers to them, and colleagues."""

    references: Mapping[str, tuple[Option, ...]]
    colleagues: tuple[str, ...]


def leaves(record_type: RecordType) -> Iterable[tuple[str, Member]]:
    """Every member that gets a field, by the field's name; members of objects by ``object.member``."""
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
        found[name] = _as_text(member, (value or {}).get(inner) if inner else value)
    return found


def blank(record_type: RecordType) -> Values:
    """The form of a record that is not there yet: every member at its default."""
    defaults = {
        field.encode_name: field.default
        for field in msgspec.structs.fields(record_type.RECORD)
        if isinstance(field.default, str | bool | int)
    }
    return values_of(record_type, defaults)


def read(record_type: RecordType, form: Any) -> Values:
    """What a sent form says; fields that it does not have are blank."""
    found: Values = {}
    for name, member in leaves(record_type):
        if member.kind == "entries":
            keys, values = form.getlist(f"{name}.key"), form.getlist(f"{name}.value")
            pairs = {key.strip(): value for key, value in zip(keys, values, strict=False) if key.strip()}
            found[name] = _json(pairs)
        else:
            found[name] = form.get(name, "").replace("\r\n", "\n")
    return found


def patch_of(record_type: RecordType, values: Values, base: Values | None, record: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7396) of what differs from ``base``; of everything that is not blank without one.

    Raises:
        InvalidRecord: a number can be read in two ways.
    """
    changed = [
        (name, member, values[name])
        for name, member in leaves(record_type)
        if values[name] != (base[name] if base is not None else "")
    ]
    if ambiguous := [found for name, member, text in changed for found in _ambiguous(name, member, text)]:
        raise InvalidRecord("A number is ambiguous.", errors=ambiguous)
    patch: dict[str, Any] = {}
    for name, member, text in changed:
        outer, _, inner = name.partition(".")
        if inner:
            patch.setdefault(outer, {})[inner] = meant(member, text)
        elif member.kind == "entries":
            patch[name] = _entries(text, record.get(name) or {})
        elif member.kind == "texts":
            patch[name] = separate_texts(text, record.get(name) or ())
        else:
            patch[name] = meant(member, text)
    return patch


def form_of(
    record_type: RecordType, values: Values, choices: Choices, errors: Mapping[str, str]
) -> tuple[list[Field], list[Group]]:
    """The fields of a form, and the groups of its object members."""
    fields: list[Field] = []
    groups: list[Group] = []
    for member in record_type.members:
        if member.kind == "object":
            inner = tuple(_field(f"{member.name}.{one.name}", one, values, choices, errors) for one in member.members)
            groups.append(Group(member.label, inner))
        else:
            fields.append(_field(member.name, member, values, choices, errors))
    fields.sort(key=lambda field: field.wide and field.name != "name")  # notes and the like come last
    return fields, groups


def errors_of(record_type: RecordType, findings: Iterable[Finding]) -> dict[str, str]:
    """Findings by the field that they are about; by the empty name where there is none."""
    names = {name for name, _ in leaves(record_type)}
    found: dict[str, str] = {}
    for finding in findings:
        parts = finding.pointer.removeprefix("/").split("/")
        name = ".".join(parts[:2]) if ".".join(parts[:2]) in names else parts[0]
        found.setdefault(name if name in names else "", finding.message)
    return found


def _field(name: str, member: Member, values: Values, choices: Choices, errors: Mapping[str, str]) -> Field:
    value = values.get(name, "")
    kind = _KINDS.get(member.kind, "text")
    options = tuple(Option(*choice) for choice in member.choices)
    if member.kind == "choice" and is_optional(member):
        options = (Option("", "None"), *options)
    if member.kind == "reference":
        kind, options = "select", choices.references.get(name, ())
        if not member.required:
            options = (Option("", "None"), *options)
    return Field(
        name=name,
        label=member.label,
        kind=kind,
        value=value,
        required=member.required,
        wide=name == "name" or kind in ("area", "pairs"),
        hint=_hint(member),
        error=errors.get(name, ""),
        longest=member.max_length if member.kind in ("text", "email", "phone", "paragraphs", "currency") else None,
        options=options,
        suggestions=choices.colleagues if is_person(member) else (),
        pairs=_pairs(value) if kind == "pairs" else (),
    )


def _hint(member: Member) -> str:
    if member.kind == "texts":
        return "Separate values with commas"
    if member.kind == "entries":
        return "Names on the left, values on the right. Clear a name to remove it."
    if member.kind == "decimal":
        return f"For example 1250.00, with up to {AMOUNT_DECIMALS} decimals"
    return "Three letters, for example EUR" if member.kind == "currency" else ""


def _as_text(member: Member, value: Any) -> str:
    if value is None:
        return ""
    if member.kind == "texts":
        return ", ".join(value)
    if member.kind == "entries":
        return _json({name: told(inner) for name, inner in value.items() if inner is not None})
    return ("true" if value else "") if member.kind == "flag" else str(value)


def meant(member: Member, text: str) -> Any:
    """The JSON value that a text means; what fits no value goes on as text, and is refused by the member's type."""
    plain = text.strip()
    if member.kind == "flag":
        return plain == "true"
    if member.kind == "texts":
        return separate_texts(text, ())
    if not plain:
        return None
    if member.kind == "integer":
        number = plain_integer(plain, least=-(2**63), most=2**63 - 1)
        return plain if number is None else number
    if member.kind == "number":
        return plain_number(plain)
    if member.kind == "decimal":
        return plain_decimal(plain)
    if member.kind == "currency":
        return plain.upper()
    return text if member.kind == "paragraphs" else plain


def _ambiguous(name: str, member: Member, text: str) -> Iterable[Finding]:
    if member.kind in ("decimal", "number") and (sentence := two_readings(member.label, text)):
        yield Finding("/" + name.replace(".", "/"), "invalid_value", sentence)


def _entries(text: str, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Members of a free object: one whose text is as it was keeps its type; one that is gone is null."""
    wanted: dict[str, str] = msgspec.json.decode(text or "{}")
    patch: dict[str, Any] = dict.fromkeys(name for name in kept if name not in wanted)
    for name, value in wanted.items():
        patch[name] = kept[name] if name in kept and told(kept[name]) == value else value
    return patch


def entries_of(value: str) -> dict[str, str]:
    """The members of a free object as forms hold them; none where an address or a forged form holds something else."""
    try:
        return msgspec.json.decode(value or "{}", type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def _pairs(value: str) -> tuple[Pair, ...]:
    kept = tuple(Pair(name, text) for name, text in entries_of(value).items())
    return (*kept, *(Pair("", "") for _ in range(_BLANK_PAIRS)))


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode() if value else ""

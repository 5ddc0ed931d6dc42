"""A member of a record type as everything that follows from the type needs it: forms, filters, exports, indexes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args, get_origin

import msgspec

from crm_core.model.currencies import CURRENCIES
from crm_core.model.domains import ascii_address
from crm_core.model.fields import bare, convert, extras, is_struct, metas, struct_fields
from crm_core.model.folded_text import caseless, composed, one_line, sort_key
from crm_core.model.record_members import AMOUNT_DECIMALS
from crm_core.model.text_types import plain_integer
from crm_core.model.times import from_input, is_moment, to_wire
from crm_core.plugin.unit import IndexValue

Kind = Literal[
    "text", "paragraphs", "email", "phone", "currency", "choice", "flag", "integer", "number", "decimal", "date",
    "moment", "reference", "texts", "object", "entries", "rows",
]  # fmt: skip

INDEXED: frozenset[Kind] = frozenset(
    {
        "text",
        "email",
        "phone",
        "currency",
        "choice",
        "flag",
        "integer",
        "decimal",
        "date",
        "moment",
        "reference",
        "texts",
    }
)
"""Kinds that can be filtered by; all of them but ``texts`` can be sorted by."""

WRITTEN: frozenset[Kind] = frozenset({"text", "email", "phone"})
"""Kinds of text that people write on one line."""

SEARCHABLE: frozenset[Kind] = frozenset({"text", "email", "phone", "texts"})

_OF_ROWS: frozenset[Kind] = INDEXED - {"reference", "texts"} | {"number", "paragraphs"}
"""Kinds of the members of a row: values of one field each. References are declared for members of the record alone."""

_FORMS: Mapping[Kind, type | tuple[type, ...]] = {
    "flag": bool, "integer": int, "number": (int, float), "date": (str, date), "texts": list, "object": dict,
    "entries": dict, "rows": list,
}  # fmt: skip
"""The forms that values have, other than texts."""

_PLAIN: Mapping[type, Kind] = {str: "text", bool: "flag", int: "integer", float: "number", date: "date"}


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a record.

    ``choices``: value and label of each value there is, for kind ``choice``. ``reference``: the record type whose id
    the member contains. ``members``: those of an ``object``, or of each of the ``rows``. ``max_length``: of a text, in
    characters. ``is_person``: whether it contains the email address of a colleague.
    """

    name: str
    label: str
    kind: Kind
    type: Any
    required: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    reference: str | None = None
    max_length: int | None = None
    members: tuple[Member, ...] = ()
    is_person: bool = False

    @property
    def is_written(self) -> bool:
        """Whether people write its values on one line: case and normal form do not count when they are compared."""
        return self.kind in WRITTEN

    def cleaned(self, value: Any) -> Any:
        """Input as it is stored: texts in normal form C, lines without blank ends, an empty optional text as null."""
        if isinstance(value, str):
            if self.kind == "moment" and is_moment(value.strip()):
                return to_wire(from_input(value.strip()))
            text = composed(value) if self.kind == "paragraphs" else one_line(value)
            return None if text == "" and not self.required else text
        if isinstance(value, list) and self.kind == "texts":
            return [one_line(each) if isinstance(each, str) else each for each in value]
        if isinstance(value, dict) and self.kind == "entries":
            return {name: composed(each) if isinstance(each, str) else each for name, each in value.items()}
        if isinstance(value, dict) and self.kind in ("object", "rows"):
            inner = {member.name: member for member in self.members}
            return {name: inner[name].cleaned(each) if name in inner else each for name, each in value.items()}
        if isinstance(value, list) and self.kind == "rows":
            return [self.cleaned(each) if isinstance(each, dict) else each for each in value]
        return value

    def indexed(self, value: Any) -> IndexValue:
        """The value as it is found: decimals as integers, dates as text, domains in ASCII, texts without case.

        An empty list is found as null is, and so is a value of another form, which an earlier version stored.
        """
        kind = self.kind
        if kind in {"text", "phone"}:  # most are
            return caseless(value) if isinstance(value, str) else None
        has_form: bool = isinstance(value, _FORMS.get(kind, str))
        if not has_form:
            return None
        if isinstance(value, int):
            return value
        if kind == "choice":
            return str(value)
        if kind == "email":
            value = ascii_address(value)
        if kind == "texts":
            return tuple(dict.fromkeys(caseless(each) for each in value if isinstance(each, str))) or None
        if kind == "decimal":
            try:
                return int(Decimal(value).scaleb(AMOUNT_DECIMALS))
            except (InvalidOperation, ValueError, OverflowError):  # no number, NaN, infinity
                return None
        if isinstance(value, date):
            return value.isoformat()
        return caseless(value) if self.is_written else str(value)

    def ordered(self, value: Any) -> IndexValue:
        """The value as it is sorted: what people write without case and accents."""
        return sort_key(value) if self.is_written and isinstance(value, str) else self.indexed(value)

    def sought(self, text: str) -> IndexValue:
        """The index value of a filter; an empty text means null.

        Raises ValueError with the sentence that says what the member's values are.
        """
        if text == "":
            return None
        if self.kind in (*WRITTEN, "texts"):
            text = one_line(text)
        if self.kind == "moment":
            text = self.cleaned(text)
        value: Any = text
        if self.kind == "flag":
            value = {"true": True, "false": False}.get(text, text)
        elif self.kind == "integer":
            number = plain_integer(text, least=-(2**63), most=2**63 - 1)
            value = text if number is None else number
        elif self.kind == "currency" and text not in CURRENCIES:
            raise ValueError("This must be an ISO 4217 code such as EUR.")
        one = [value] if self.kind == "texts" else value
        found, findings = convert(one, self.type)
        if findings:
            raise ValueError(findings[0].message)
        return caseless(text) if self.kind == "texts" else self.indexed(found)


def describe(
    struct: type[msgspec.Struct], labels: Mapping[str, str], references: Mapping[str, str], prefix: str = ""
) -> tuple[Member, ...]:
    """The members of a struct, in order; ``labels`` by ``member``, ``object.member`` or ``member.choice``."""
    return tuple(
        _described(field, prefix + field.encode_name, labels, references.get(field.encode_name) if not prefix else None)
        for field in struct_fields(struct)
    )


def _described(field: msgspec.structs.FieldInfo, path: str, labels: Mapping[str, str], reference: str | None) -> Member:
    inner = bare(field.type)
    stated = next(extras(field.type, "kind"), None)
    nested = inner if is_struct(inner) else _row(inner)
    members = describe(nested, labels, {}, f"{path}.") if nested else ()
    if nested is not inner:
        unfit = ", ".join(f"{path}.{member.name}" for member in members if member.kind not in _OF_ROWS)
        if unfit:
            raise TypeError(f"{unfit}: a member of a row is a text, number, choice, flag or date")
    return Member(
        name=field.encode_name,
        label=labels.get(path) or _label(field.encode_name),
        kind="reference" if reference else stated or _kind(inner, path),
        type=field.type,
        required=field.required,
        choices=_choices(inner, path, labels),
        reference=reference,
        max_length=next((meta.max_length for meta in metas(field.type) if meta.max_length is not None), None),
        members=members,
    )


def _kind(inner: Any, path: str) -> Kind:
    if get_origin(inner) is Literal:
        return "choice"
    if get_origin(inner) is list and bare(get_args(inner)[0]) is str:
        return "texts"
    if _row(inner):
        return "rows"
    if get_origin(inner) is dict:
        return "entries"
    if is_struct(inner):
        return "object"
    if inner in _PLAIN:
        return _PLAIN[inner]
    raise TypeError(
        f"the member {path} is a {inner}; a member is a str, bool, int, float, date, Literal, list of str "
        "or of Struct, dict or Struct, or one of these or None"
    )


def _row(inner: Any) -> type[msgspec.Struct] | None:
    """The Struct of a list of them."""
    item = bare(get_args(inner)[0]) if get_origin(inner) is list else None
    return item if is_struct(item) else None


def _choices(inner: Any, path: str, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if get_origin(inner) is not Literal:
        return ()
    return tuple((value, labels.get(f"{path}.{value}") or _label(value)) for value in get_args(inner))


def _label(name: str) -> str:
    return name.removesuffix("_id").replace("_", " ").capitalize()

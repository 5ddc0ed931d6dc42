"""Forms of records: the texts of a sent form, and the merge patch that they mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from crm_core.errors import Finding, InvalidRecord
from crm_core.language import gettext, localized, ngettext
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.browser import Form
from crm_core.web.pages.layout.formats import Formats
from crm_core.web.pages.layout.labels import member_label
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.records.cells import first_of_kind
from crm_core.web.pages.records.form_fields import Field, Group, RowGroup, field_of
from crm_core.web.pages.records.form_rows import (
    Readings,
    Row,
    blank_row,
    defaults_of,
    most_of,
    read_rows,
    rows_of,
    rows_text,
    sent_rows,
    sent_text,
    stored_rows,
)
from crm_core.web.pages.records.sentences import sentence_of
from crm_core.web.pages.records.typed_values import (
    as_text,
    entries_error,
    entries_of,
    entries_patch,
    read,
    sent_entries,
    separate_texts,
)

Values = dict[str, str]
"""The texts of a form by the name of the field: ``email``, ``address.city``. Lists are one text, rows, entries JSON."""


class RecordForm(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a record while it is edited; each step returns a changed copy.

    ``record``: as stored, empty for a new one. ``errors``: messages by the name of the field, by the empty name if
    they belong to no field. ``questions``: the readings of ambiguous texts by the name of the field.
    ``shown``: the texts of pickers by the name of the field. ``blanks``: blank rows at the end by the name of the rows.
    """

    type: RecordType
    formats: Formats
    record: Mapping[str, Any] = msgspec.field(default_factory=dict)
    values: Values
    shown: Mapping[str, str] = msgspec.field(default_factory=dict)
    errors: Mapping[str, str] = msgspec.field(default_factory=dict)
    questions: Mapping[str, tuple[Option, ...]] = msgspec.field(default_factory=dict)
    blanks: Mapping[str, int] = msgspec.field(default_factory=dict)

    @property
    def stored(self) -> Values:
        """The values of the stored record; none if it is new."""
        return values_of(self.type, self.record, self.formats) if self.record else {}

    @classmethod
    def blank(cls, record_type: RecordType, formats: Formats) -> RecordForm:
        """The form of a new record: every member at its default."""
        defaults = defaults_of(record_type.RECORD)
        return cls(type=record_type, formats=formats, values=values_of(record_type, defaults, formats))

    @classmethod
    def of(cls, record_type: RecordType, record: Mapping[str, Any], formats: Formats) -> RecordForm:
        """The form of a stored record."""
        values = values_of(record_type, record, formats)
        return cls(type=record_type, formats=formats, record=record, values=values)

    def sent(self, form: Form) -> RecordForm:
        """The form as a browser sent it: fields that it lacks are blank, the answer to a question replaces its text."""
        values: Values = {}
        blanks: dict[str, int] = {}
        for name, member in leaves(self.type):
            if member.kind == "rows":
                rows, blanks[name] = sent_rows(member, form, self.formats.regional, self._most(member))
                values[name] = rows_text(rows)
            elif member.kind == "entries":
                pairs = zip(form.getlist(f"{name}.key"), form.getlist(f"{name}.value"), strict=False)
                values[name] = sent_entries(pairs, self._most(member) + 1)
            else:
                values[name] = sent_text(form, name)
        return replace(self, values=values, blanks=blanks)

    def refused(self, findings: Iterable[Finding]) -> RecordForm:
        """The form with the errors of its fields."""
        errors: dict[str, str] = {}
        questions: dict[str, tuple[Option, ...]] = {}
        rows = {name: rows_of(self.values[name]) for name, member in leaves(self.type) if member.kind == "rows"}
        for finding in findings:
            parts = finding.pointer.removeprefix("/").split("/")
            names = (".".join(parts[:length]) for length in (3, 2, 1))
            name = next((name for name in names if field_member(self.type, name)), "")
            member, typed = field_member(self.type, name), self._typed(name, rows)
            errors.setdefault(
                name, sentence_of(finding, member, typed, self.formats) if member else localized(finding.message)
            )
            if member and (question := read(member, typed, self.formats).question):
                questions[name] = question
        return replace(self, errors=errors, questions=questions)

    def patch(self) -> dict[str, Any]:
        """The merge patch (RFC 7396) of the fields that differ from the record; of all filled ones if it is new.

        An amount without a currency gets its own or, in a new record, that of the workspace.

        Raises:
            InvalidRecord: a number or date is ambiguous, two fields name different currencies, or there are too many
                rows or entries.
        """
        stored, findings, patch = self.stored, list[Finding](), dict[str, Any]()
        readings: Readings = {}
        for name, member in leaves(self.type):
            text = self.values[name]
            if text == stored.get(name, ""):
                continue
            outer, _, inner = name.partition(".")
            if self.is_overfull(member, text):
                sentence = ngettext(
                    "There can be at most {n} row. Remove some.",
                    "There can be at most {n} rows. Remove some.",
                    self._most(member),
                )
                findings.append(Finding(f"/{name}", "too_many", sentence))
            elif member.kind == "rows":
                patch[name], of_rows = read_rows(member, text, self.record.get(name) or (), self.formats)
                readings |= of_rows
            elif member.kind == "entries":
                patch[name] = entries_patch(text, self.record.get(name) or {})
                if wrong := entries_error(text, entries_of(stored.get(name, ""))):
                    findings.append(Finding(f"/{name}", "unclear_value", wrong))
            elif member.kind == "texts":
                patch[name] = separate_texts(text, self.record.get(name) or ())
            else:
                reading = read(member, text, self.formats)
                readings["/" + name.replace(".", "/")] = (member, reading)
                (patch.setdefault(outer, {}) if inner else patch)[inner or name] = reading.value
        findings += (
            Finding(pointer, "unclear_value", reading.error)
            for pointer, (_, reading) in readings.items()
            if reading.error
        )
        findings += self._with_currency(patch, readings)
        if findings:
            raise InvalidRecord(gettext("Some values are not clear."), errors=findings)
        return patch

    def _with_currency(self, patch: dict[str, Any], readings: Readings) -> Iterator[Finding]:
        """Write the currency of a typed amount into the patch; the finding that it names another than its field."""
        field = first_of_kind(self.type, "currency")
        amounts = {at: found for at, (member, found) in readings.items() if member.kind == "decimal" and found.value}
        if field is None or not amounts:
            return
        code, chosen = field.name, patch.get(field.name)
        for pointer, reading in amounts.items():
            named = reading.currency
            if named and chosen and named != chosen:
                text = gettext(
                    "The amount names {named}, but the field {label} says {chosen}. Enter one currency.",
                    named=named,
                    label=member_label(field),
                    chosen=chosen,
                )
                yield Finding(pointer, "unclear_value", text)
            elif named:
                patch[code] = chosen = named
        if not patch.get(code) and not self.record:
            patch[code] = self.formats.regional.currency

    def known(self, texts: Mapping[str, str]) -> Values:
        """The texts of the form's fields; one with too many rows, which no page sends, counts as blank."""
        found = ((name, member, texts.get(name, "")) for name, member in leaves(self.type))
        return {name: "" if self.is_overfull(member, text) else text for name, member, text in found}

    def is_overfull(self, member: Member, text: str) -> bool:
        """Whether a text has more rows or entries than the member may have."""
        found = rows_of(text) if member.kind == "rows" else entries_of(text) if member.kind == "entries" else ()
        return len(found) > self._most(member)

    def _most(self, member: Member) -> int:
        return most_of(member, self.record.get(member.name) if member.kind in ("rows", "entries") else None)

    def _typed(self, name: str, rows: Mapping[str, Sequence[Row]]) -> str:
        """The text of a field, also of one in a row."""
        outer, _, rest = name.partition(".")
        at, _, inner = rest.partition(".")
        found = rows.get(outer, ()) if inner else ()
        return found[int(at)].get(inner, "") if inner and int(at) < len(found) else self.values.get(name, "")

    def fields(self) -> list[Field]:
        """The fields outside objects and rows; long ones, such as notes, come last."""
        found = [
            self._field(name, member, self.values.get(name, ""))
            for name, member in leaves(self.type)
            if "." not in name and member.kind != "rows"
        ]
        return sorted(found, key=lambda field: field.wide and field.name != "name")

    def groups(self) -> Iterator[Group]:
        """The fields of each object member."""
        for member in _entered(self.type):
            if member.kind == "object":
                names = ((f"{member.name}.{one.name}", one) for one in member.members)
                yield Group(
                    member_label(member),
                    tuple(self._field(name, one, self.values.get(name, "")) for name, one in names),
                )

    def rows(self) -> Iterator[RowGroup]:
        """The rows of each list of objects."""
        for member in _entered(self.type):
            if member.kind == "rows":
                name, blank = member.name, blank_row(member, self.formats.regional)
                rows = rows_of(self.values.get(name, ""))
                blanks = self.blanks.get(name, 0 if rows else 1)
                yield RowGroup(
                    name=name,
                    label=member_label(member),
                    error=self.errors.get(name, ""),
                    rows=tuple(self._row(member, at, row) for at, row in enumerate([*rows, *[blank] * blanks])),
                    blank=self._row(member, 0, blank),
                )

    def _row(self, member: Member, at: int, row: Row) -> tuple[Field, ...]:
        return tuple(
            replace(self._field(f"{member.name}.{at}.{one.name}", one, row.get(one.name, "")), hint="")
            for one in member.members
        )

    def _field(self, name: str, member: Member, value: str) -> Field:
        error, shown, question = self.errors.get(name, ""), self.shown.get(name, ""), self.questions.get(name, ())
        return field_of(member, name, value, error=error, shown=shown, question=question)


def leaves(record_type: RecordType) -> Iterator[tuple[str, Member]]:
    """Every member that has fields, by the field's name; members of objects by ``object.member``, rows as a whole."""
    for member in _entered(record_type):
        if member.kind == "object":
            yield from ((f"{member.name}.{inner.name}", inner) for inner in member.members)
        else:
            yield member.name, member


def field_member(record_type: RecordType, name: str) -> Member | None:
    """The member of a field, also of one in a row (``lines.0.price``); None if there is no such field."""
    outer, *inner = name.split(".")
    member = next((one for one in _entered(record_type) if one.name == outer), None)
    if member is None or not inner:
        return None if member and member.kind == "object" else member
    at = inner[:-1]
    fits = len(at) == 1 and at[0].isdecimal() if member.kind == "rows" else member.kind == "object" and not at
    return next((one for one in member.members if fits and one.name == inner[-1]), None)


def values_of(record_type: RecordType, record: Mapping[str, Any], formats: Formats) -> Values:
    """A record as its form shows it."""
    found: Values = {}
    for name, member in leaves(record_type):
        if member.kind == "rows":
            found[name] = rows_text(stored_rows(member, record.get(name), formats.regional))
            continue
        outer, _, inner = name.partition(".")
        value = record.get(outer)
        found[name] = as_text(member, (value or {}).get(inner) if inner else value, formats.regional)
    return found


def _entered(record_type: RecordType) -> Iterator[Member]:
    """The members that people enter: all but those that the type computes."""
    return (member for member in record_type.members if member.name not in record_type.COMPUTED)

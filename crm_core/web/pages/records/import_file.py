"""A CSV file that is imported: its rows, and which member each of its columns is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from crm_core.errors import InvalidRecord
from crm_core.language import gettext
from crm_core.model.folded_text import folded
from crm_core.model.spreadsheet import lines, text_of
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.labels import member_label
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.records.forms import leaves
from crm_core.web.pages.records.typed_values import plain_lines

MOST_ROWS: Final = 5000
MOST_BYTES: Final = 2 * 1024 * 1024
EXTERNAL_ID: Final = "external_id"
_MOST_COLUMNS: Final = 100
_SEPARATORS: Final = ",;\t"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_PARTS_OF_NAME: Final = ("firstname", "middlename", "lastname", "vorname", "nachname")
_ALSO_CALLED: Final[Mapping[str, tuple[str, ...]]] = {
    EXTERNAL_ID: ("recordid", "customernumber", "kundennummer", "kundennr"),
    "name": ("fullname", "dealname"),
    "email": ("emailaddress", "emailadresse"),
    "phone": ("phonenumber", "telephone", "telefonnummer"),
    "company": ("companyname", "organization", "unternehmen"),
    "owner": ("contactowner", "companyowner", "dealowner"),
    "stage": ("dealstage",),
    "closes_on": ("closedate",),
    "due_on": ("duedate",),
    "address.line1": ("streetaddress", "street", "strasse"),
    "address.postal_code": ("zip", "zipcode", "postcode", "plz"),
    "address.region": ("state", "stateregion", "bundesland"),
    "address.country": ("countryregion",),
}
"""Heads in the exports of spreadsheets and other CRMs that are neither the name nor the label of their field."""


class ImportFile(msgspec.Struct, frozen=True):
    """The heads of the columns, and the rows, each with its line number and as many cells as there are heads.

    ``excess``: the cells of a row for which there is no head, by line number.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    excess: Mapping[int, tuple[str, ...]]


def decoded(content: bytes) -> str:
    """The text of an uploaded file: UTF-8, UTF-16 with its mark, or what spreadsheets write on Windows."""
    if content[:2] in _UTF16:
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def parsed(text: str) -> ImportFile:
    """The file of a text. Raises InvalidRecord with a sentence that says what to do."""
    if len(text.encode()) > MOST_BYTES:
        raise InvalidRecord(gettext("The file is larger than {most} MB. Split it.", most=MOST_BYTES // 1024 // 1024))
    text = text.removeprefix("\ufeff")
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_SEPARATORS, key=first.count))
    try:
        found = [(reader.line_num, tuple(row)) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InvalidRecord(
            gettext(
                "Line {line} is not CSV ({error}). Save the file as CSV again.",
                line=reader.line_num,
                error=error,
            )
        ) from None
    if len(found) < 2:
        raise InvalidRecord(
            gettext("The file has no rows. Its first line names the columns, each other line is a record.")
        )
    if len(found) - 1 > MOST_ROWS:
        raise InvalidRecord(
            gettext("The file has {n} rows. Import up to {most} at a time.", n=len(found) - 1, most=MOST_ROWS)
        )
    width, rows = len(found[0][1]), found[1:]
    heads = tuple(head.strip() for head in found[0][1])[:_MOST_COLUMNS]
    blank = ("",) * len(heads)
    return ImportFile(
        heads,
        tuple((at, (*map(_cell, row), *blank)[: len(heads)]) for at, row in rows),
        {at: row[width:] for at, row in rows if any(cell.strip() for cell in row[width:])},
    )


def _cell(text: str) -> str:
    """A cell without the sign that an export puts before formulas; browsers send CR LF for each line end."""
    return text_of(plain_lines(text))


def fields_of(record_type: RecordType) -> Mapping[str, str]:
    """The labels of the fields that a column can be, by name."""
    outer = {member.name: member_label(member) for member in record_type.members}
    found = {EXTERNAL_ID: gettext("External ID")}
    for name, member in leaves(record_type):
        if member.kind not in ("entries", "rows"):
            group, _, inner = name.partition(".")
            found[name] = f"{outer[group]}: {member_label(member)}" if inner else member_label(member)
    return found


def matched(file: ImportFile, record_type: RecordType) -> tuple[str, ...]:
    """The field of each column, by its name, its label or a usual name; empty for a column that is left out."""
    known: dict[str, str] = {}
    fields = fields_of(record_type)
    for name, label in fields.items():
        for text in (name, label, label.rpartition(": ")[2]):
            known.setdefault(_compared(text), name)
    for name in fields:
        for text in _ALSO_CALLED.get(name, ()):
            known.setdefault(text, name)
    found: list[str] = []
    for head in file.heads:
        name = known.get(_compared(head), "")
        found.append("" if name in found else name)
    if "name" in fields and "name" not in found:
        return tuple("name" if _compared(head) in _PARTS_OF_NAME else found[at] for at, head in enumerate(file.heads))
    return tuple(found)


def may_be_joined(field: str, record_type: RecordType) -> bool:
    """Whether several columns may be this field, as first and last name are one name: a plain text."""
    member = dict(leaves(record_type)).get(field)
    return member is not None and member.kind == "text" and member.reference is None and not member.is_person


def _compared(text: str) -> str:
    """A head or label without what people write differently: case, accents, spaces and signs."""
    return "".join(sign for sign in folded(text) if sign.isalnum())


def keys_of(record_type: RecordType) -> Iterator[Option]:
    """What rows can be recognized by: the external id, an email address, a text that no two have, or nothing."""
    yield Option(EXTERNAL_ID, gettext("External ID"))
    for name, member in leaves(record_type):
        is_key = member.kind == "email" or (member.is_written and name in record_type.UNIQUE)
        if is_key and name in record_type.FILTERABLE:
            yield Option(name, member_label(member))
    yield Option("", gettext("Nothing: create each row"))


def failed_rows(file: ImportFile, failed: Sequence[tuple[int, str]]) -> str:
    """The rows that failed as CSV, with a last column that says why, and any cells without a head behind it."""
    cells = dict(file.rows)
    rows = [
        [*file.heads, gettext("Error")],
        *([*cells[at], message, *map(_cell, file.excess.get(at, ()))] for at, message in failed),
    ]
    return lines(rows).decode()

"""Rows of a form, such as the lines of an invoice: the texts of a list of objects, and the list that they mean.

The fields of a row are named ``lines.0.price``; a hidden field ``lines`` has the number of each row, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any, Final, NamedTuple, get_args

import msgspec

from crm_core.model.fields import bare, struct_fields
from crm_core.plugin.member import Member
from crm_core.web.pages.browser import Form
from crm_core.web.pages.layout.formats import Formats, RegionalFormat
from crm_core.web.pages.records.typed_values import TypedValue, as_text, plain_lines, read

ADD: Final = "form:add"
REMOVE: Final = "form:remove"
"""Buttons that change the rows of a form and save nothing: the name of the rows, and of a row."""

_MOST: Final = 100
"""Rows or entries in the form of a member whose type has no ``max_length``."""

Row = dict[str, str]
"""The texts of a row by member."""


Readings = dict[str, tuple[Member, TypedValue]]
"""The readings of typed texts with their members, by pointer."""


class SentRows(NamedTuple):
    """Rows as a browser sent them. ``blank``: how many at the end are blank, which are not among the ``rows``."""

    rows: list[Row]
    blank: int


def rows_text(rows: Sequence[Row]) -> str:
    """Rows as the one text of a form, which is JSON."""
    return msgspec.json.encode(rows).decode() if rows else ""


def rows_of(text: str) -> list[Row]:
    """The rows in a text of a form; none if an address or a forged form contains something else."""
    try:
        return msgspec.json.decode(text or "[]", type=list[Row])
    except msgspec.DecodeError:
        return []


def stored_rows(member: Member, value: Any, regional: RegionalFormat) -> list[Row]:
    """Stored rows as their fields show them."""
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    return [{one.name: as_text(one, row.get(one.name), regional) for one in member.members} for row in rows]


def most_of(member: Member, stored: Sized | None) -> int:
    """How many rows or entries a form may have; as many as are stored, so that it shows and sends all of them."""
    return max(member.max_length or _MOST, len(stored or ()))


def sent_rows(member: Member, form: Form, regional: RegionalFormat, most: int) -> SentRows:
    """The rows of a sent form, with one more blank row or without one if a button for that was pressed.

    Of too many rows those up to the first excess one are left, so that the form is refused and its page stays small.
    """
    removed = form.get(REMOVE, "")
    numbers = [at for at in dict.fromkeys(form.getlist(member.name)) if removed != f"{member.name}.{at}"]
    rows = [
        {one.name: sent_text(form, f"{member.name}.{at}.{one.name}") for one in member.members}
        for at in numbers[: most + 1]
    ]
    count, untouched = len(rows), blank_row(member, regional)
    while len(numbers) == count and rows and all(text in ("", untouched[name]) for name, text in rows[-1].items()):
        rows.pop()
    return SentRows(rows, count - len(rows) + (form.get(ADD) == member.name and count <= most))


def blank_row(member: Member, regional: RegionalFormat) -> Row:
    """A new row: every member at its default."""
    (row_type,) = get_args(bare(member.type))
    return stored_rows(member, [defaults_of(bare(row_type))], regional)[0]


def defaults_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The plain defaults of the members of a struct."""
    fields = struct_fields(struct)
    return {field.encode_name: field.default for field in fields if isinstance(field.default, str | bool | int)}


def read_rows(
    member: Member, text: str, stored: Sequence[Mapping[str, Any]], formats: Formats
) -> tuple[list[dict[str, Any]], Readings]:
    """The list that rows mean, and the readings of what was typed.

    A text as a stored row shows it keeps that row's value, which may have more digits. A blank field is left out, so
    that its member gets its default.
    """
    shown = stored_rows(member, stored, formats.regional)
    known = {(name, row[name]): old.get(name) for row, old in zip(shown, stored, strict=True) for name in row}
    found, readings = list[dict[str, Any]](), Readings()
    for at, row in enumerate(rows_of(text)):
        values: dict[str, Any] = {}
        for one in member.members:
            typed = row.get(one.name, "")
            if at < len(shown) and shown[at][one.name] == typed:
                values[one.name] = stored[at].get(one.name)
            elif (one.name, typed) in known:
                values[one.name] = known[one.name, typed]
            else:
                reading = read(one, typed, formats)
                readings[f"/{member.name}/{at}/{one.name}"] = (one, reading)
                values[one.name] = reading.value
        found.append({name: value for name, value in values.items() if value is not None})
    return found, readings


def sent_text(form: Form, name: str) -> str:
    """The text of a field; the answer to a question about it replaces it."""
    return plain_lines(form.get(f"form:reading:{name}", form.get(name, "")))

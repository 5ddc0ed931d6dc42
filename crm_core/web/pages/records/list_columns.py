"""The columns of a list: those that the type has, those that a user chose, and their heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from crm_core.language import gettext, noun
from crm_core.model.list_views import MOST_COLUMNS
from crm_core.plugin.record_type import ALWAYS_SORTABLE, RecordType
from crm_core.records.shape import Shape
from crm_core.web.pages.layout.labels import member_label
from crm_core.web.pages.records.cells import CORE_LABELS
from crm_core.web.pages.records.list_view import Column

COLUMNS: Final = "columns"
"""The parameter of a list's address that has its columns, between commas."""
_LONG: Final = ("object", "paragraphs", "entries", "rows")
_OWNED: Final = ("external_id", "created_at", "updated_at", "created_by", "updated_by")
_NARROW: Final[Mapping[str, str]] = {
    "choice": "",
    "flag": "p1",
    "decimal": "r p1",
    "integer": "r p1",
    "number": "r p1",
    "date": "p1 nowrap",
    "moment": "p1 nowrap",
    "reference": "p1",
    "email": "p3 mail-cell cut muted",
    "phone": "p4 nowrap",
    "texts": "p4",
}
"""CSS classes of columns by the kind of member: on narrow screens p4 is hidden first, p1 last."""


@lru_cache
def own_columns(record_type: RecordType) -> tuple[str, ...]:
    """The columns of the type after the name, without a currency that an amount shows anyway."""
    names = [name for name in record_type.COLUMNS if name != "name"]
    kinds = {member.name: member.kind for member in record_type.members}
    amounts = "decimal" in (kinds.get(name) for name in names)
    names = [name for name in names if not (amounts and kinds.get(name) == "currency")]
    return tuple(names) if "updated_at" in names else (*names, "updated_at")


def possible_columns(record_type: RecordType) -> tuple[str, ...]:
    """Every column that a user may choose."""
    names = (member.name for member in record_type.members if member.kind not in _LONG and member.name != "name")
    return (*names, *_OWNED)


def known_columns(record_type: RecordType, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names that are columns, each once."""
    possible = set(possible_columns(record_type))
    return tuple(dict.fromkeys(name for name in names if name in possible))[:MOST_COLUMNS]


def column_label(record_type: RecordType, name: str) -> str:
    """The head of a column."""
    return gettext(CORE_LABELS[name]) if name in CORE_LABELS else member_label(record_type.member(name))


def css_of(record_type: RecordType, name: str) -> str:
    """The CSS classes of a column."""
    if name in CORE_LABELS:
        return "r p1 muted nowrap" if name.endswith("_at") else "p3"
    member = record_type.member(name)
    if record_type.DUE and record_type.DUE.done == name:
        return ""
    if member.reference is not None:
        return "p2 ref"
    return "p2" if member.is_person else _NARROW.get(member.kind, "p2")


def heads_of(shape: Shape, columns: Sequence[str], sort: str, here: Callable[..., str]) -> Iterator[Column]:
    """The heads, with the address that sorts by each; ``here``: the address of the list with changed parameters."""
    sortable = {*shape.sortable, *ALWAYS_SORTABLE}
    for name in ("name", *columns):
        label = column_label(shape.record_type, name)
        css = "head-cell" if name == "name" else css_of(shape.record_type, name)
        css = css.replace("muted", "").replace("cut", "").strip()
        if name not in sortable:
            yield Column(label, css)
            continue
        current = sort.removeprefix("-") == name
        down = current and sort.startswith("-")
        target = name if down or (not current and not name.endswith("_at")) else f"-{name}"
        yield Column(label, css, here(sort=target), ("descending" if down else "ascending") if current else "")


def order_of(record_type: RecordType, sort: str) -> str:
    """The order of the rows in words."""
    label = noun(column_label(record_type, sort.removeprefix("-")))
    down = sort.startswith("-")
    return gettext("by {label}, descending", label=label) if down else gettext("by {label}, ascending", label=label)

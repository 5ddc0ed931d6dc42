"""Around a list: its tabs, its filters, and the active ones with the address without each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CORE_LABELS, is_picked
from crm_core.web.pages.records.list_view import Chip, Filter, Tab

_ARCHIVED: Final = "archived"

Address = Callable[..., str]
"""The address of the list with some parameters changed, None takes one away."""


def tabs_of(record_type: RecordType, parameters: Mapping[str, str], mine: str, here: Address) -> Iterator[Tab]:
    """All records, those of the user (``mine`` is the value of their owner, empty if there is none), archived ones."""
    archived, owner = parameters.get(_ARCHIVED) == "true", record_type.OWNER
    owned = bool(mine) and owner is not None and parameters.get(owner) == mine and not archived
    no_owner = {owner: None} if owner is not None else {}
    yield Tab("All", here(**{_ARCHIVED: None}, **no_owner), not archived and not owned)
    if mine and owner is not None:
        yield Tab("Mine", here(**{_ARCHIVED: None, owner: mine}), owned)
    yield Tab("Archived", here(**{_ARCHIVED: "true"}), archived)


def filters_of(record_type: RecordType, parameters: Mapping[str, str], shown: Mapping[str, str]) -> Iterator[Filter]:
    """The filters that have a field. ``shown``: the values of pickers as readers know them."""
    for name in record_type.FILTERABLE:
        member = record_type.member(name)
        value = parameters.get(name, "")
        if is_picked(member):
            yield Filter(name, member.label, value, picked=True, shown=shown.get(name, ""))
        elif member.kind == "choice":
            options = (Option("", f"Any {member.label.lower()}"), *(Option(*one) for one in member.choices))
            yield Filter(name, member.label, value, options)
        elif member.kind == "flag":
            options = (Option("", f"{member.label}: any"), Option("true", "Yes"), Option("false", "No"))
            yield Filter(name, member.label, value, options)
        elif member.kind == "texts":
            yield Filter(name, member.label.removesuffix("s"), value)


def chips_of(
    context: PageContext,
    record_type: RecordType,
    parameters: Mapping[str, str],
    shown: Mapping[str, str],
    here: Address,
) -> Iterator[Chip]:
    """The active filters, each with the address without it."""
    for name, value in parameters.items():
        if name == "q":
            yield Chip(f"“{value}”", here(q=None))
        elif name == "updated_since":
            moment = context.formats.moment(value)
            yield Chip(f"Updated since {moment.short if moment else value}", here(updated_since=None))
        elif name not in ("sort", _ARCHIVED):
            yield Chip(_filter_text(record_type, name, shown.get(name, value)), here(**{name: None}))


def _filter_text(record_type: RecordType, name: str, value: str) -> str:
    plain, _, comparison = name.partition(".")
    if plain in CORE_LABELS:
        return f"{CORE_LABELS[plain]}: {value}"
    member = record_type.member(plain)
    if member.kind == "flag":
        return f"{member.label}: {'yes' if value == 'true' else 'no'}"
    words = {"gt": "over ", "gte": "from ", "lt": "under ", "lte": "up to "}.get(comparison, "")
    return f"{member.label}: {words}{dict(member.choices).get(value, value)}"

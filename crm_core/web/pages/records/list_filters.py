"""The filters of a list, and the active ones with the address without each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from crm_core.language import gettext, gettext_noop
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.labels import choice_labels, member_label, within_sentence
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.records.cells import CORE_LABELS, is_picked
from crm_core.web.pages.records.list_view import Chip, Filter

_FIELDS: Final = ("choice", "flag", "texts")

_COMPARED: Final = {
    "gt": gettext_noop("over {value}"),
    "gte": gettext_noop("from {value}"),
    "lt": gettext_noop("under {value}"),
    "lte": gettext_noop("up to {value}"),
}

Address = Callable[..., str]
"""The address of the list with some parameters changed, None takes one away."""


def filters_of(record_type: RecordType, parameters: Mapping[str, str], shown: Mapping[str, str]) -> Iterator[Filter]:
    """The filters that have a field. ``shown``: the values of pickers as readers know them."""
    for name in record_type.FILTERABLE:
        member = record_type.member(name)
        value = parameters.get(name, "")
        if is_picked(member):
            yield Filter(name, member_label(member), value, picked=True, shown=shown.get(name, ""))
        elif member.kind == "choice":
            options = (
                Option("", gettext("Any {label}", label=within_sentence(member))),
                *choice_labels(member),
            )
            yield Filter(name, member_label(member), value, options)
        elif member.kind == "flag":
            options = (
                Option("", gettext("{label}: any", label=member_label(member))),
                *(Option(value, _flag_text(member, value)) for value in ("true", "false")),
            )
            yield Filter(name, member_label(member), value, options)
        elif member.kind == "texts":
            yield Filter(name, member_label(member).removesuffix("s"), value)


def chips_of(
    record_type: RecordType, parameters: Mapping[str, str], shown: Mapping[str, str], here: Address
) -> Iterator[Chip]:
    """The active filters, each with the address without it."""
    for name, value in parameters.items():
        if name == "q":
            yield Chip(gettext("“{text}”", text=value), here(q=None), has_field=True)
        elif name == "updated_since":
            yield Chip(gettext("Updated since {time}", time=shown.get(name, value)), here(updated_since=None))
        elif name not in ("sort", "archived"):
            text = _filter_text(record_type, name, shown.get(name, value))
            yield Chip(
                text, here(**{name: None}), has_field=name in record_type.FILTERABLE and _has_field(record_type, name)
            )


def _has_field(record_type: RecordType, name: str) -> bool:
    """Whether a filter has its field in the form."""
    member = record_type.member(name)
    return is_picked(member) or member.kind in _FIELDS


def _flag_text(member: Member, value: str) -> str:
    word = gettext("yes") if value == "true" else gettext("no")
    return f"{member_label(member)}: {word}"


def _filter_text(record_type: RecordType, name: str, value: str) -> str:
    plain, _, comparison = name.partition(".")
    if plain in CORE_LABELS:
        return f"{gettext(CORE_LABELS[plain])}: {value}"
    member = record_type.member(plain)
    if member.kind == "flag":
        return _flag_text(member, value)
    words = gettext(_COMPARED.get(comparison, "{value}"), value=dict(choice_labels(member)).get(value, value))
    return f"{member_label(member)}: {words}"

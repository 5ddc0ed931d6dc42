"""The documented parameters of the lists of a record type, generated from the type."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from crm_core.model.fields import bare
from crm_core.model.record_members import ExternalId
from crm_core.plugin.member import Member
from crm_core.plugin.query import Comparison
from crm_core.plugin.record_type import ALWAYS_SORTABLE
from crm_core.records.list_query import DEFAULT_LIMIT, MAX_LIMIT, MAX_SEARCH_LENGTH
from crm_core.records.shape import EXTERNAL_ID, Shape
from crm_core.web.api.parameters import BOOLEAN, MOMENT, WITH_BOM, whole
from crm_core.web.operations import Parameter

_COMPARED: Final[dict[Comparison, str]] = {"gt": "after", "gte": "at or after", "lt": "before", "lte": "at or before"}


def list_parameters(shape: Shape) -> tuple[Parameter, ...]:
    """Every parameter of a type's list: of all types, filters, comparisons."""
    filters = (_filter(shape, name) for name in shape.filterable)
    comparisons = (_comparison(shape, *each) for each in shape.comparisons.items())
    return (*_common(shape), *filters, *comparisons)


def _common(shape: Shape) -> tuple[Parameter, ...]:
    searched = ", ".join(shape.record_type.SEARCHED)
    return (
        Parameter(
            name="limit",
            description=f"Records of a page; {DEFAULT_LIMIT} unless given.",
            schema=whole(1, MAX_LIMIT),
        ),
        Parameter(name="cursor", description="The next_cursor of the page before, with the same filters and sort."),
        Parameter(
            name="sort",
            description="Order; `-` for descending. Case and accents do not count; ties by id, null last.",
            schema={"type": "string", "enum": [sign + name for name in shape.sortable for sign in ("", "-")]},
        ),
        Parameter(
            name="q",
            description=(
                f"Words that must each begin a word of {searched or 'nothing'}; four or more digits find a phone "
                "number that contains them."
            ),
            schema={"type": "string", "maxLength": MAX_SEARCH_LENGTH, "pattern": r"^[^\x00]*$"},
        ),
        Parameter(name="updated_since", description="Only records updated at or after this time.", schema=MOMENT),
        Parameter(name="total", description="true: also count the whole selection.", schema=BOOLEAN),
        Parameter(name="archived", description="true: the archived records in place of the live ones.", schema=BOOLEAN),
        WITH_BOM,
    )


def _filter(shape: Shape, name: str) -> Parameter:
    empty = "Only records with this value, or any of several; empty: those without one."
    schema = msgspec.json.schema(ExternalId) if name == EXTERNAL_ID else _sought_schema(shape.record_type.member(name))
    return Parameter(name=name, description=empty, schema={"anyOf": [schema, {"const": ""}]}, repeats=True)


def _comparison(shape: Shape, parameter: str, compared: tuple[str, Comparison]) -> Parameter:
    name, comparison = compared
    schema = MOMENT if name in ALWAYS_SORTABLE else _sought_schema(shape.record_type.member(name))
    return Parameter(
        name=parameter,
        schema={"allOf": [schema, {"minLength": 1}]},
        description=f"Only records whose `{name}` is {_COMPARED[comparison]} this value; never those without one.",
    )


def _sought_schema(member: Member) -> dict[str, Any]:
    if member.kind == "flag":
        return BOOLEAN
    return msgspec.json.schema(get_args(bare(member.type))[0] if member.kind == "texts" else member.type)

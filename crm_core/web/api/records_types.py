"""The documented types of a record type: the shapes of its bodies and answers, made from its members."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec

from crm_core.model.fields import struct_fields
from crm_core.model.record_members import ExternalId, RecordId
from crm_core.plugin.record_type import OWNED_LAST
from crm_core.records.batch_items import ID, IF_REVISION, MAX_ITEMS
from crm_core.records.feed import ChangeItem
from crm_core.records.shape import EXTERNAL_ID, Shape, Stamps
from crm_core.web.api.problem_schemas import Problem

_WORDS: Final = re.compile("[-_]")  # what separates the words of a NAME


class DocumentedTypes(msgspec.Struct, frozen=True):
    """The documented types of a record type: the whole record, what creates one, what changes one, lists, batches."""

    record: type[msgspec.Struct]
    input: type[msgspec.Struct]
    patch: type[msgspec.Struct]
    page: type[msgspec.Struct]
    batch: type[msgspec.Struct]


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of an item: ``id`` and ``revision``, or the problem that refused it."""

    status: int
    id: str | None = None
    revision: int | None = None
    problem: Problem | None = None


class BatchResults(msgspec.Struct, frozen=True):
    """A result for each item, in the order of the items."""

    results: list[BatchResult]


class HistoryItems(msgspec.Struct, frozen=True):
    """A page of a record's history, newest first."""

    items: list[ChangeItem]
    next_cursor: str | None


def documented_types(shape: Shape) -> DocumentedTypes:
    """The documented types of a record type, named after its NAME: classes of two plugins may share theirs."""
    kind = shape.record_type
    name = "".join(word.capitalize() for word in _WORDS.split(kind.NAME))
    fields = [(member.name, member.type, member.required) for member in kind.members]
    stamps = {field.name: field.type for field in struct_fields(Stamps)}
    record = _struct(
        f"{name}Record",
        [
            ("id", str),
            (EXTERNAL_ID, str | None),
            *((member, type_) for member, type_, _ in fields),
            *((owned, stamps[owned]) for owned in OWNED_LAST),
        ],
    )
    unset = msgspec.UNSET
    open_fields = [(member, type_ | None | msgspec.UnsetType, unset) for member, type_, needed in fields if not needed]
    external = (EXTERNAL_ID, ExternalId | None | msgspec.UnsetType, unset)
    needed = [(member, type_) for member, type_, needed in fields if needed]
    patched = [(member, type_ | msgspec.UnsetType, unset) for member, type_ in needed]
    made = _struct(f"{name}Input", [*needed, external, *open_fields], closed=True)
    patch = _struct(f"{name}Patch", [external, *patched, *open_fields], closed=True)
    page = _struct(
        f"{name}Page",
        [("items", list[record]), ("next_cursor", str | None), ("total", int | None)],  # type: ignore[valid-type]
    )
    naming = [
        (ID, RecordId | None | msgspec.UnsetType, unset),
        (IF_REVISION, Annotated[int, msgspec.Meta(ge=1)] | None | msgspec.UnsetType, unset),
    ]
    item = _struct(f"{name}BatchItem", [*naming, external, *patched, *open_fields], closed=True)
    batch = _struct(f"{name}Batch", [("items", _many(item))], closed=True)
    return DocumentedTypes(record, made, patch, page, batch)


def singular_of(shape: Shape) -> str:
    """One record of the type in the names of operations: ``customer`` of ``create_customer``.

    NAME stays where it is no plural of SINGULAR, so that no two types share an operation's name.
    """
    text = re.sub("[^a-z0-9]+", "_", shape.record_type.SINGULAR.lower()).strip("_")
    plural = f"{text[:-1]}ies" if text.endswith("y") else f"{text}s"
    return text if plural == shape.name else shape.name


def _struct(name: str, members: Iterable[tuple[Any, ...]], *, closed: bool = False) -> type[msgspec.Struct]:
    """A struct whose members have these names on the wire, which need be no names of Python (``class``, ``vat-id``)."""
    members = list(members)
    return msgspec.defstruct(
        name,
        [(f"member_{number}", *rest) for number, (_, *rest) in enumerate(members)],
        rename={f"member_{number}": wire for number, (wire, *_) in enumerate(members)},
        forbid_unknown_fields=closed,
    )


def _many(item: Any) -> Any:
    return Annotated[list[item], msgspec.Meta(max_length=MAX_ITEMS)]

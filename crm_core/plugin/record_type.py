"""Record types: the data of a tenant, such as customers, deals, tasks. Routes, keys and pages follow from them.

A complete record type::

    class Visit(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
        name: Line
        customer_id: RecordId | None = None
        day: Day | None = None
        kind: Literal["call", "on_site"] = "call"

    class Visits(RecordType):
        NAME = "visits"
        TITLE = "Visits"
        SINGULAR = "Visit"
        RECORD = Visit
        SORTABLE = ("name", "day")
        FILTERABLE = ("kind", "customer_id")
        SEARCHED = ("name",)
        REFERENCES = (Reference("customer_id", "customers"),)
        COLUMNS = ("name", "customer_id", "day")

``crm_core.model.record_members`` has the usual kinds of members. Every record also has ``id, external_id, created_at,
updated_at, archived_at, created_by, updated_by, revision``: the core owns those.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from types import UnionType
from typing import Any, ClassVar, Union, get_args, get_origin

import msgspec

from crm_core.errors import Finding
from crm_core.model.fields import bare, convert, is_struct, metas, struct_fields
from crm_core.model.stored_values import as_stored
from crm_core.plugin.class_help import class_help
from crm_core.plugin.member import INDEXED, SEARCHABLE, Kind, Member, describe

OWNED_FIRST = ("id", "external_id")
OWNED_LAST = ("created_at", "updated_at", "archived_at", "created_by", "updated_by", "revision")
OWNED = (*OWNED_FIRST, *OWNED_LAST)
"""Members of every record that the core owns; all but ``external_id`` are read-only."""

ALWAYS_SORTABLE = ("created_at", "updated_at")
LIST_PARAMETERS = frozenset({"limit", "cursor", "sort", "q", "updated_since", "total", "bom", "archived"})
PAGE_PARAMETERS = frozenset({"view", "columns"})  # of lists on pages alone
FORM_NAMES = frozenset({"csrf"})  # fields that every form of a page has


_SHOWN_BY_HELP = (
    "NAME", "TITLE", "SINGULAR", "SORTABLE", "FILTERABLE", "SEARCHED", "REFERENCES", "UNIQUE", "COMPUTED", "COLUMNS",
)  # fmt: skip


class Reference(msgspec.Struct, frozen=True):
    """A member that contains the id of a record of another type."""

    member: str
    record_type: str


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """The members that follow a sale from its first stage to its end, for reports and dashboards.

    ``stage``: a choice; ``won`` and ``lost``: those of its values that end a sale. ``amount``: a decimal, in the
    currency that the member ``currency`` names, else in the workspace's. ``closes_on``: the day it is expected to end.
    """

    stage: str
    won: tuple[str, ...]
    lost: tuple[str, ...]
    amount: str | None = None
    currency: str | None = None
    closes_on: str | None = None


class Due(msgspec.Struct, frozen=True):
    """``day``: the date by which a record needs attention; ``done``: the flag that says it no longer does."""

    day: str
    done: str | None = None


class RecordType(ABC):
    """A record type. ``RECORD`` has the writable members except ``external_id``; unset is null, lists [], objects {}.

    ``RECORD`` has a required text ``name``, which names a record in pages and references; other members have a default,
    or are required as well. ``SORTABLE`` and ``FILTERABLE`` name members besides ``created_at``, ``updated_at`` and
    ``external_id``; a filter on a list member matches any of its values. ``SEARCHED`` are the members whose words ``q``
    looks in. ``LABELS``: titles for pages by ``member``, ``object.member`` or ``member.choice`` where the name alone
    makes none. ``COLUMNS``: what tables show. ``LANES``: the choice whose values are the lanes of a board, if any.

    Pages and reports know no type by its name. ``OWNER``: the text member with the email address of the colleague whom
    a record belongs to. ``DUE``: when it needs attention; with ``done`` and an ``OWNER`` its records are tasks.
    ``PIPELINE``: the stages of a sale. ``MODULE``: the module whose keys guard the records, if not NAME.
    ``COMPUTED``: members that ``complete`` alone sets; callers may not send them. ``UNIQUE``: members of which no two
    records may have the same value, archived ones included. Values are compared as a filter compares them; any number
    of records may have none.

    A class that does not fit raises TypeError where it is defined, with every fault.
    """

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    SINGULAR: ClassVar[str]
    RECORD: ClassVar[type[msgspec.Struct]]
    SORTABLE: ClassVar[tuple[str, ...]] = ()
    FILTERABLE: ClassVar[tuple[str, ...]] = ()
    SEARCHED: ClassVar[tuple[str, ...]] = ()
    REFERENCES: ClassVar[tuple[Reference, ...]] = ()
    LABELS: ClassVar[Mapping[str, str]] = {}
    COLUMNS: ClassVar[tuple[str, ...]] = ("name",)
    LANES: ClassVar[str | None] = None
    OWNER: ClassVar[str | None] = None
    DUE: ClassVar[Due | None] = None
    PIPELINE: ClassVar[Pipeline | None] = None
    MODULE: ClassVar[str | None] = None
    SCHEMA_VERSION: ClassVar[int] = 1
    COMPUTED: ClassVar[tuple[str, ...]] = ()
    UNIQUE: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Refuse a type that routes or pages could not be made from; let help() show the others."""
        super().__init_subclass__()
        if hasattr(cls, "RECORD"):
            faults = list(_faults(cls))
            if faults:
                raise TypeError(f"{cls.__name__}: {'; '.join(faults)}")
            cls.__doc__ = class_help(cls, _SHOWN_BY_HELP, "RECORD")

    @property
    def module(self) -> str:
        """The module whose keys guard the records."""
        return self.MODULE or self.NAME

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The members of ``RECORD``, in order."""
        described = describe(self.RECORD, self.LABELS, {each.member: each.record_type for each in self.REFERENCES})
        return tuple(
            # An email address of a colleague says nothing about whom the record is about: two may share an owner.
            msgspec.structs.replace(member, is_person=True, kind="text") if member.name == self.OWNER else member
            for member in described
        )

    def member(self, name: str) -> Member:
        """A member by name. Raises KeyError."""
        for member in self.members:
            if member.name == name:
                return member
        raise KeyError(name)

    def upgrade(self, data: dict[str, Any], from_version: int) -> Mapping[str, Any]:
        """The members of a record that an earlier ``SCHEMA_VERSION`` stored, as RECORD reads them; plain JSON.

        It runs when a store is opened; the outcome is stored when the store folds, and changes no revision.
        """
        return data

    def complete(self, record: Any, before: Any) -> Any:
        """The record (an instance of RECORD) with its computed members; ``before``: as stored, None for a new one.

        A type that overrides this may have an optional ``name``, if it fills one in; without one the record is refused.
        Both records are copies; what is returned is stored.
        """
        return record

    def check(self, record: Any, before: Any = None) -> Iterable[Finding]:
        """Findings on a whole record (an instance of RECORD) that its type cannot say; pointers are into the record.

        ``before``: the record as stored, None for a new one. Both are copies: what is stored is what was sent, as
        completed by ``complete``. A ``check`` that takes the record alone works as well.
        """
        return ()


def _faults(cls: type[RecordType]) -> Iterator[str]:
    missing = [name for name in ("NAME", "TITLE", "SINGULAR") if not hasattr(cls, name)]
    if missing:
        yield f"{', '.join(missing)} missing"
    if not is_struct(cls.RECORD) or not cls.RECORD.__struct_config__.forbid_unknown_fields:
        yield "RECORD must be a msgspec.Struct with forbid_unknown_fields=True"
        return
    references = {each.member: each.record_type for each in cls.REFERENCES}
    try:
        members = {member.name: member for member in describe(cls.RECORD, cls.LABELS, references)}
    except TypeError as error:
        yield str(error)
        return
    yield from _ill_named(members, completes=cls.complete is not RecordType.complete)
    for use, names, kinds in _uses(cls):
        for name in names:
            if name not in members:
                yield f"{use} names {name}, which is no member of RECORD"
            elif members[name].kind not in kinds:
                yield f"{use} names {name}, but a member of kind {members[name].kind} cannot be that"
    yield from _unfit_for_pages(cls, members)
    yield from _unsafe(cls.RECORD, "RECORD")
    yield from _wrong_defaults(cls.RECORD)
    for name in cls.COMPUTED:
        if name not in members:
            yield f"COMPUTED names {name}, which is no member of RECORD"
        elif members[name].required:
            yield f"COMPUTED names {name}, which needs a default, as callers cannot send it"
    for name in cls.COLUMNS:
        if name not in members and name not in OWNED:
            yield f"COLUMNS names {name}, which is no member"
    for name in (LIST_PARAMETERS | PAGE_PARAMETERS).intersection(cls.FILTERABLE):
        yield f"FILTERABLE names {name}, which is a parameter of every list"


def _uses(cls: type[RecordType]) -> Iterator[tuple[str, tuple[str, ...], Collection[Kind]]]:
    """Uses of members: the attribute of the type, the members that it names, and the kinds that fit."""
    yield "SORTABLE", cls.SORTABLE, INDEXED - {"texts"}
    yield "FILTERABLE", cls.FILTERABLE, INDEXED
    yield "SEARCHED", cls.SEARCHED, SEARCHABLE
    yield "UNIQUE", cls.UNIQUE, INDEXED - {"texts", "flag"}
    yield "REFERENCES", tuple(each.member for each in cls.REFERENCES), {"reference"}
    yield "LANES", _named(cls.LANES), {"choice"}
    yield "OWNER", _named(cls.OWNER), {"text", "email"}
    if cls.DUE is not None:
        yield "DUE", (cls.DUE.day,), {"date"}
        yield "DUE", _named(cls.DUE.done), {"flag"}
    if cls.PIPELINE is not None:
        yield "PIPELINE", (cls.PIPELINE.stage,), {"choice"}
        yield "PIPELINE", _named(cls.PIPELINE.amount), {"decimal"}
        yield "PIPELINE", _named(cls.PIPELINE.currency), {"currency"}
        yield "PIPELINE", _named(cls.PIPELINE.closes_on), {"date"}


def _unfit_for_pages(cls: type[RecordType], members: Mapping[str, Member]) -> Iterator[str]:
    """Members that pages could not filter or sort by, and stages that the choice does not have."""
    due, pipeline = cls.DUE, cls.PIPELINE
    filtered = {"OWNER": cls.OWNER, "DUE": due and due.done, "PIPELINE": pipeline and pipeline.stage}
    for use, name in filtered.items():
        if name is not None and name not in cls.FILTERABLE:
            yield f"{use} names {name}, which must be in FILTERABLE"
    for use, name in {"DUE": due and due.day, "PIPELINE": pipeline and pipeline.closes_on}.items():
        if name is not None and name not in cls.SORTABLE:
            yield f"{use} names {name}, which must be in SORTABLE"
    if pipeline is not None and pipeline.stage in members:
        choices = dict(members[pipeline.stage].choices)
        for value in (*pipeline.won, *pipeline.lost):
            if value not in choices:
                yield f"PIPELINE names {value}, which is no value of {pipeline.stage}"


def _named(name: str | None) -> tuple[str, ...]:
    return () if name is None else (name,)


def _ill_named(members: Mapping[str, Member], *, completes: bool) -> Iterator[str]:
    name = members.get("name")
    if name is None or not (name.required or completes) or name.kind != "text":
        yield "RECORD needs `name: Line`, which names a record"
    for member in members.values():
        if member.name in OWNED:
            yield f"the core owns the member {member.name}; call it something else"
        elif member.name in FORM_NAMES or ":" in member.name:
            yield f"the forms of pages use the name {member.name}; call the member something else"


def _wrong_defaults(record: type[msgspec.Struct]) -> Iterator[str]:
    """Defaults of another type than their member's: each record without the member could not be changed any more."""
    for field in struct_fields(record):
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if default is None or default is msgspec.NODEFAULT:
            continue
        plain = msgspec.to_builtins(default)
        if as_stored(plain, field.type) is None:
            problem = convert(plain, field.type)[1][0].message
            yield f"the default of {field.encode_name} is none of its values: {problem}"


def _unsafe(type_: Any, path: str) -> Iterator[str]:
    """Unions that crash msgspec (0.22): a text with a pattern in one union with a list, dict or Struct."""
    if is_struct(type_):
        for field in struct_fields(type_):
            yield from _unsafe(field.type, f"{path}.{field.encode_name}")
        return
    arguments = get_args(type_)
    if get_origin(type_) in (Union, UnionType):
        patterned = any(meta.pattern is not None for each in arguments for meta in metas(each))
        nests = any(get_origin(bare(each)) in (list, dict, tuple) or is_struct(bare(each)) for each in arguments)
        if patterned and nests:
            yield f"{path} may be a text with a pattern or a list or object; msgspec cannot have both in one union"
    for each in arguments:
        if not isinstance(each, msgspec.Meta):
            yield from _unsafe(each, path)

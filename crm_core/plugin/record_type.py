"""Record types: what a tenant keeps about its customers, deals, tasks. Routes, keys and pages follow from this.

A complete record type::

    class Visit(msgspec.Struct, forbid_unknown_fields=True):
        name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
        on: str | None = None

    class Visits(RecordType):
        NAME = "visits"
        TITLE = "Visits"
        RECORD = Visit
        SORTABLE = ("name",)
        SEARCHED = ("name",)

Every record also has ``id, external_id, created_at, updated_at, created_by, updated_by, revision``: the core owns
those.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from crm_core.errors import Finding


class Reference(msgspec.Struct, frozen=True):
    """A member that holds the id of a record of another type."""

    member: str
    record_type: str


class RecordType(ABC):
    """A record type. ``RECORD`` holds the writable members except ``external_id``; unset is null, lists [], objects {}.

    ``SORTABLE`` and ``FILTERABLE`` name members besides ``created_at`` and ``updated_at``; a filter on a list member
    matches any of its values. ``SEARCHED`` are the members whose words ``q`` looks in. ``LABELS``: titles for pages.
    ``LANES``: the member whose values are the lanes of a board, if there is one.
    """

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    SINGULAR: ClassVar[str] = ""
    RECORD: ClassVar[type[msgspec.Struct]]
    SORTABLE: ClassVar[tuple[str, ...]] = ()
    FILTERABLE: ClassVar[tuple[str, ...]] = ()
    SEARCHED: ClassVar[tuple[str, ...]] = ()
    REFERENCES: ClassVar[tuple[Reference, ...]] = ()
    LABELS: ClassVar[Mapping[str, str]] = {}
    COLUMNS: ClassVar[tuple[str, ...]] = ("name",)
    LANES: ClassVar[str | None] = None

    def check(self, record: Any) -> Iterable[Finding]:
        """Findings on a whole record (an instance of RECORD) that its type cannot say; pointers are into the record."""
        return ()

"""Reads of the pages of records: a record type, a record, the records of a list, and a type's rows for figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from crm_core.errors import NotFound
from crm_core.language import gettext, noun
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.storage import Document
from crm_core.records.figures import Row
from crm_core.records.guarded_store import RecordAccess
from crm_core.records.list_query import Parameters, known_parameters
from crm_core.records.shape import Shape
from crm_core.web.pages.page_context import PageContext


def record_type_of(context: PageContext, module: str) -> RecordType:
    """The record type of a module. Raises NotFound."""
    found = context.services.registry.record_types.get(module)
    if found is None:
        raise NotFound(gettext("There is no page at this address."))
    return found


def access_of(context: PageContext, record_type: str) -> RecordAccess:
    """The user's access to a record type."""
    return context.services.records.access(context.tenant, context.caller, record_type)


class TypeRows:
    """The rows of a record type, which figures count and add up."""

    def __init__(self, context: PageContext, record_type: RecordType) -> None:
        self._figures = context.services.records.figures
        self._access = access_of(context, record_type.NAME)
        self.kind = self._figures.type_of(self._access.shape)

    async def all(self, *, archived: bool = False) -> tuple[Row, ...]:
        """Every row; with ``archived``, those of archived records as well. Raises AccessError."""
        return await self._figures.rows(self._access, archived=archived)

    def value(self, member: str | None) -> Callable[[Row], Any]:
        """The function that reads a member of a row; without a member it reads None."""
        return self.kind.value(member) if member else lambda _: None

    async def since(self, rows: Sequence[Row], member: str) -> dict[str, str | None]:
        """When each row got its present value of a member; None for always. Raises AccessError."""
        return await self._figures.since(self._access, rows, member)


async def document_of(context: PageContext, record_type: str, record_id: str) -> Document:
    """A record as it is stored. Raises NotFound, AccessError."""
    return await context.services.records.reads.detail(access_of(context, record_type), record_id)


async def records_of(
    context: PageContext, record_type: str, parameters: Parameters
) -> tuple[list[dict[str, Any]], int]:
    """The records of a list with the API's parameters, and their ``total`` if it is requested. Raises AccessError."""
    access = access_of(context, record_type)
    listing = await context.services.records.reads.list(access, parameters)
    return [msgspec.json.decode(document.body) for document in listing.documents], listing.total or 0


async def total_of(context: PageContext, record_type: str, parameters: Parameters) -> int:
    """The number of records that a list with these parameters has. Raises AccessError, InvalidParameter."""
    found = {**parameters, "limit": "1", "total": "true"}
    return (await context.services.records.reads.list(access_of(context, record_type), found)).total or 0


def list_parameters(shape: Shape, sent: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the list among those of a page, without blank fields of the form."""
    if not sent:
        return {}
    known = known_parameters(shape) - {"limit", "cursor", "total"}
    return {name: value for name, value in sent.items() if name in known and value != ""}


async def full_text(context: PageContext, record_type: RecordType) -> str:
    """Why the plan's limit lets no record of a type be created at present; empty if one can."""
    limit = context.workspace.entitlements.limits.get(record_type.NAME)
    if limit is None or await context.services.records.count(context.tenant, record_type.NAME) < limit:
        return ""
    return gettext(
        "The plan includes {records}, and all are in use. Archive some, or ask your platform operator for more.",
        records=counted(context, record_type, limit),
    )


def counted(context: PageContext, record_type: RecordType, count: int) -> str:
    """A number of records in words: ``1 customer``, ``86 customers``."""
    name = context.singular_of(record_type) if count == 1 else noun(context.title_of(record_type))
    return f"{context.formats.number(count)} {name}"

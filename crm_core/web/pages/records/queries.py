"""Reads of the pages of records: a record type, a record, the records of a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from crm_core.errors import NotFound
from crm_core.language import gettext, noun
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.storage import Document
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


def list_parameters(shape: Shape, sent: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the list among those of a page, without blank fields of the form."""
    if not sent:
        return {}
    known = known_parameters(shape) - {"limit", "cursor", "total"}
    return {name: value for name, value in sent.items() if name in known and value != ""}


def counted(context: PageContext, record_type: RecordType, count: int) -> str:
    """A number of records in words: ``1 customer``, ``86 customers``."""
    name = context.singular_of(record_type) if count == 1 else noun(context.title_of(record_type))
    return f"{context.formats.number(count)} {name}"

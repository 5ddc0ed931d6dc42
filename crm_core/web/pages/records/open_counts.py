"""The counts of the menu: what is to do, rather than all that there is."""

from __future__ import annotations

from typing import NamedTuple

from crm_core.plugin.record_type import RecordType
from crm_core.records.list_query import Parameters
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import access_of


class OpenCount(NamedTuple):
    """A number of records; ``due``: it is of those that the user has to do by today."""

    number: int
    due: bool = False


async def open_count(context: PageContext, record_type: RecordType) -> OpenCount:
    """My tasks that are due, the open records of a type with a PIPELINE, all records of any other type.

    Only indexes are read, and a backend may cache the answer until a record of the type changes.
    """
    due, pipeline, caller = record_type.DUE, record_type.PIPELINE, context.caller
    if record_type.OWNER and due and due.done:
        me = tuple(filter(None, (caller.email, caller.name)))
        today = context.formats.now.date().isoformat()
        mine: Parameters = {record_type.OWNER: me, due.done: "false", f"{due.day}.lte": today}
        return OpenCount(await _count(context, record_type, mine), due=True)
    if pipeline:
        ended = pipeline.won + pipeline.lost
        stages = (value for value, _ in record_type.member(pipeline.stage).choices if value not in ended)
        # One by one: the number of rows with one value is in an index, that of several has to be gathered.
        return OpenCount(sum([await _count(context, record_type, {pipeline.stage: one}) for one in stages]))
    return OpenCount(await context.services.records.count(context.tenant, record_type.NAME))


async def _count(context: PageContext, record_type: RecordType, parameters: Parameters) -> int:
    access = access_of(context, record_type.NAME)
    listing = await context.services.records.reads.list(access, {**parameters, "limit": "1", "total": "true"})
    return listing.total or 0

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
    parameters, due = _to_do(context, record_type), record_type.DUE
    if not parameters:
        return OpenCount(await context.services.records.count(context.tenant, record_type.NAME))
    access = access_of(context, record_type.NAME)
    listing = await context.services.records.reads.list(access, {**parameters, "limit": "1", "total": "true"})
    return OpenCount(listing.total or 0, due=due is not None and due.done in parameters)


def _to_do(context: PageContext, record_type: RecordType) -> Parameters:
    """The list parameters of the records that are to do; none if the type does not say which are."""
    due, pipeline, caller = record_type.DUE, record_type.PIPELINE, context.caller
    if record_type.OWNER and due and due.done:
        me = tuple(filter(None, (caller.email, caller.name)))
        today = context.formats.now.date().isoformat()
        return {record_type.OWNER: me, due.done: "false", f"{due.day}.lte": today}
    if pipeline:
        ended = pipeline.won + pipeline.lost
        stages = tuple(value for value, _ in record_type.member(pipeline.stage).choices if value not in ended)
        return {pipeline.stage: stages}
    return {}

"""Setting one member of a record: a card moved to another lane, a task ticked off; each can be undone."""

from __future__ import annotations

import msgspec
from quart import Response, request

from crm_core.errors import InvalidRecord, NotFound, RevisionMismatch
from crm_core.plugin.member import Member
from crm_core.plugin.storage import Document
from crm_core.records.shape import etag
from crm_core.web.pages.details import record_type_of
from crm_core.web.pages.fields import meant, values_of
from crm_core.web.pages.frame import Undo
from crm_core.web.pages.visit import Visit

_SETTABLE = frozenset({"choice", "flag"})


async def set_one(visit: Visit, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Set the member that the form names, unless the record has changed since the page was made."""
    form = await request.form
    record_type, records = record_type_of(visit, module), visit.services.records
    member = next((one for one in record_type.members if one.name == form.get("member")), None)
    if member is None or member.kind not in _SETTABLE:
        raise NotFound("There is no such member to set.")
    call = records.call(visit.tenant, visit.caller, module)
    document = await records.reads.detail(call, id)
    if form.get("revision") != str(document.revision):
        raise RevisionMismatch("Somebody changed this record meanwhile, so it was left as it is. Look at it again.")
    patch = {member.name: meant(member, form.get("value", ""))}
    written = await records.writes.update(call, id, patch, etag(document.revision, document.body))
    was = values_of(record_type, msgspec.json.decode(document.body))[member.name]
    back = form.get("back") or f"{visit.root}/"
    undo = Undo(action=request.path, member=member.name, value=was, revision=written.revision, back=back)
    return visit.go(back, _told(member, document, form.get("value", "")), undo)


def _told(member: Member, document: Document, value: str) -> str:
    name = msgspec.json.decode(document.body)["name"]
    if member.kind == "flag":
        return f"{name}: {member.label.lower()}" if value == "true" else f"{name}: not {member.label.lower()}"
    label = dict(member.choices).get(value)
    if label is None:
        raise InvalidRecord(f"There is no {member.label.lower()} {value[:60]!a}.")
    return f"{name}: moved to {label}"

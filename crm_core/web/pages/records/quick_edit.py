"""Setting one member of a record: a card moved to another lane, a task ticked off; each can be undone."""

from __future__ import annotations

from typing import Any

import msgspec

from crm_core.errors import InvalidRecord, NotFound, RevisionMismatch
from crm_core.language import gettext
from crm_core.plugin.member import Member
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import etag
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.frame import Undo
from crm_core.web.pages.layout.labels import choice_labels, within_sentence
from crm_core.web.pages.page_answers import redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.form_fields import is_optional
from crm_core.web.pages.records.queries import access_of, document_of, record_type_of
from crm_core.web.pages.records.related import next_task
from crm_core.web.pages.records.typed_values import as_text, read

_SETTABLE = frozenset({"choice", "flag"})


async def set_one(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Set the member that the form or its button's address names, unless the record has changed meanwhile."""
    form, record_type = {**request.args, **(await request.form)}, record_type_of(context, module)
    settable = (one for one in record_type.members if one.kind in _SETTABLE)
    member = next((one for one in settable if one.name == form.get("member")), None)
    if member is None:
        raise NotFound(gettext("This field cannot be set here."))
    document = await document_of(context, module, id)
    if form.get("revision") != str(document.revision):
        raise RevisionMismatch(
            gettext("Someone else changed this record, so nothing was changed now. Check it and try again.")
        )
    record, value = msgspec.json.decode(document.body), read(member, form.get("value", ""), context.formats).value
    message = _message(member, record["name"], value)
    access, unchanged = access_of(context, module), Preconditions(etag(document.revision, document.body))
    written = await context.services.records.writes.update(access, id, {member.name: value}, unchanged)
    before, back = (
        as_text(member, record.get(member.name), context.formats.regional),
        form.get("back") or f"{context.root}/",
    )
    undo = Undo(action=request.path, member=member.name, value=before, revision=written.revision, back=back)
    is_done = value and record_type.DUE and record_type.DUE.done == member.name
    return redirect(context, back, message, undo, next_task(context, record_type, record, back) if is_done else "")


def _message(member: Member, name: str, value: Any) -> str:
    """The confirmation; made before the write, so that a refusal changes nothing.

    Raises:
        InvalidRecord: the member has no such choice.
    """
    label = within_sentence(member)
    if member.kind == "flag":
        return f"{name}: {label}" if value else gettext("{name}: not {label}", name=name, label=label)
    if value is None and is_optional(member):
        return gettext("{name}: no {label}", name=name, label=label)
    choice = dict(choice_labels(member)).get(value)
    if choice is None:
        raise InvalidRecord(
            gettext("Unknown {label} {value}. Reload the page and choose again.", label=label, value=(value or "")[:60])
        )
    return gettext("{name}: moved to {choice}", name=name, choice=choice)

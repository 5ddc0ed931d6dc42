"""Acts on one record with one click: archiving, restoring, setting one member, undoing; most can be undone in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from crm_core.errors import InvalidRecord, NotFound, RevisionMismatch
from crm_core.language import gettext
from crm_core.model.change_log import ChangeEntry
from crm_core.model.diff import steps_of
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.storage import Document
from crm_core.records.guarded_store import RecordAccess
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import etag
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.frame import Undo
from crm_core.web.pages.layout.labels import choice_labels, within_sentence
from crm_core.web.pages.layout.names import within
from crm_core.web.pages.page_answers import redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.form_fields import is_optional
from crm_core.web.pages.records.queries import access_of, document_of, record_type_of
from crm_core.web.pages.records.related import next_task
from crm_core.web.pages.records.typed_values import as_text, read

_SETTABLE: Final = ("choice", "flag")


async def archive(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Archive a record; the list it leaves to offers to undo it."""
    form, record_type = await request.form, record_type_of(context, module)
    document = await document_of(context, module, id)
    unchanged = _shown(document, form)
    await context.services.records.archive.archive(access_of(context, module), id, unchanged)
    name, list_path = msgspec.json.decode(document.body)["name"], f"{context.root}/{record_type.NAME}"
    back = f"{list_path}/{id}"
    undo = Undo(action=f"{back}/restore", revision=document.revision + 1, back=back)
    return redirect(context, list_path, gettext("{name} archived", name=name), undo)


async def restore(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Bring a record back and show it."""
    record_type_of(context, module)
    written = await context.services.records.archive.restore(access_of(context, module), id, Preconditions())
    name = msgspec.json.decode(written.body)["name"]
    return redirect(context, f"/{module}/{id}", gettext("{name} restored", name=name))


async def set_one(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Set the member that the form or its button's address names, unless the record has changed meanwhile."""
    form, record_type = {**request.args, **(await request.form)}, record_type_of(context, module)
    settable = (one for one in record_type.members if one.kind in _SETTABLE)
    member = next((one for one in settable if one.name == form.get("member")), None)
    if member is None:
        raise NotFound(gettext("This field cannot be set here."))
    document = await document_of(context, module, id)
    unchanged = _shown(document, form)
    record, value = msgspec.json.decode(document.body), read(member, form.get("value", ""), context.formats).value
    message = _message(member, record["name"], value)
    patch = {member.name: value}
    written = await context.services.records.writes.update(access_of(context, module), id, patch, unchanged)
    before = as_text(member, record.get(member.name), context.formats.regional)
    back = form.get("back") or f"{context.root}/"
    undo = Undo(action=request.path, member=member.name, value=before, revision=written.revision, back=back)
    is_done = value and record_type.DUE and record_type.DUE.done == member.name
    return redirect(context, back, message, undo, next_task(context, record_type, record, back) if is_done else "")


def _shown(document: Document, form: Mapping[str, str]) -> Preconditions:
    """The revision that the page showed, and no other.

    Raises:
        RevisionMismatch: someone has changed the record since.
    """
    if form.get("revision") != str(document.revision):
        raise RevisionMismatch(
            gettext("Someone else changed this record, so nothing was changed now. Check it and try again.")
        )
    return Preconditions(etag(document.revision, document.body))


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


async def undo(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Set back what the newest change changed, unless the record has changed since the page was made."""
    record_type, access = record_type_of(context, module), access_of(context, module)
    document = await document_of(context, module, id)
    newest = await newest_change(context, access, id)
    sent = (await request.form).get("revision")
    if newest is None or newest.change != "updated" or not sent == str(document.revision) == str(newest.revision):
        raise RevisionMismatch(
            gettext("Someone changed this record in the meantime, so nothing was undone. Look at it again.")
        )
    patch = before_of(newest, record_type)
    unchanged = Preconditions(etag(document.revision, document.body))
    await context.services.records.writes.update(access, id, patch, unchanged)
    who = await context.names.actor(newest.actor or "")
    text = gettext("You undid the change by {who}", who=within(who))
    if who == gettext("You"):
        text = gettext("You undid your change")
    return redirect(context, f"/{module}/{id}", text)


async def newest_change(context: PageContext, access: RecordAccess, record_id: str) -> ChangeEntry | None:
    """The newest change of a record; None if its history has ended."""
    page = await context.services.records.feed.history(access, record_id, 1)
    return page.entries[0].entry if page.entries else None


def before_of(entry: ChangeEntry, record_type: RecordType) -> dict[str, Any]:
    """The merge patch that sets every changed place back, but for computed ones."""
    patch: dict[str, Any] = {}
    for change in entry.changes:
        *outer, last = steps_of(change.pointer)
        place = patch
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = msgspec.to_builtins(change.before)
    return {name: value for name, value in patch.items() if name not in record_type.COMPUTED}

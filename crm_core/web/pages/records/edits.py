"""Creating and changing records by forms: nothing typed is lost, and no one's change is overwritten unseen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from crm_core.errors import (
    CrmError,
    InvalidRecord,
    LimitReached,
    NotUnique,
    RecordArchived,
    RecordError,
    RevisionMismatch,
    ServerError,
    SubscriptionSuspended,
)
from crm_core.language import gettext, localized, ngettext
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.storage import Document
from crm_core.records.idempotency import IdempotentRequest, ReplayedRefusal, idempotent_request
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import etag
from crm_core.web.pages.browser import Form, Response, request
from crm_core.web.pages.layout.parts import PageLink, PageNotice, failure
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.conflicts import EditConflict, conflict_of
from crm_core.web.pages.records.doubles import double_notice, double_of, same_value_notice
from crm_core.web.pages.records.form_errors import not_chosen_of, patch_of
from crm_core.web.pages.records.forms import RecordForm
from crm_core.web.pages.records.merging import SentForm
from crm_core.web.pages.records.picking import Picks, own_values, resolved, with_shown
from crm_core.web.pages.records.queries import access_of, document_of, full_text, record_type_of
from crm_core.web.pages.records.related import next_task
from crm_core.web.pages.records.timeline_entries import kind_of, moment_of
from crm_core.web.pages.unavailable import input_stays

_ANYWAY: Final = "form:anyway"
_ONCE: Final = "form:once"
"""The field of a form of a new record by which two pages with the same input differ."""
_KEEPING: Final = (RecordError, LimitReached, SubscriptionSuspended, ServerError)
"""Refusals that come back with the form, so that nothing typed is lost."""


async def creating(context: PageContext, module: str) -> Response:
    """The form of a new record; the address may give values to begin with."""
    form = RecordForm.blank(record_type_of(context, module), context.formats)
    given = {name: text for name, text in form.known(request.args).items() if name in request.args}
    form = replace(form, values={**form.values, **own_values(context, form.type), **given})
    full = await full_text(context, form.type)
    title = gettext("No {record} can be created at present.", record=context.singular_of(form.type))
    notice = PageNotice(tone="warn", icon="lock", title=title, text=full) if full else None
    return await _page(context, form, notice=notice)


async def created(context: PageContext, module: str) -> Response:
    """Create a record from the form."""
    record_type = record_type_of(context, module)
    picks = await resolved(context, record_type, await request.form)
    form = RecordForm.blank(record_type, context.formats).sent(picks.form)
    if picks.searches:
        return await _page(context, form, picks=picks)
    access, once, writes = access_of(context, module), _once(context, picks.form), context.services.records.writes
    try:
        data = patch_of(form, not_chosen_of(form, picks.texts), access.shape)
        double = None if _ANYWAY in picks.form else await double_of(context, record_type, data)
        if double and not (once and await writes.was_created(access, once)):
            return await _page(context, form, problem=double_notice(context, record_type, double))
        written = await writes.create(access, data, once)
    except ReplayedRefusal as replayed:
        return await _page(context, form, error=replayed.error, picks=picks)
    except _KEEPING as error:
        return await _page(context, form, error=error, picks=picks)
    page_of_it = f"/{module}/{written.id}" if context.may(f"{module}.view") else "/"
    following = _back(context, picks.form) or context.root + page_of_it
    text, follow = gettext("{record} created", record=context.one_of(record_type)), ""
    if moment_of(record_type):
        text = gettext("{kind} added", kind=kind_of(context, record_type, data))
        follow = next_task(context, record_type, data, following)
    return redirect(context, following, text, follow=follow)


def _once(context: PageContext, sent: Form) -> IdempotentRequest | None:
    """What recognizes a form that is sent again unchanged, by Enter pressed twice or after an answer was lost."""
    if not sent.get(_ONCE):
        return None
    fields = sorted((name, value) for name, value in sent.items(multi=True) if name != "csrf")
    key = hashlib.sha256(msgspec.json.encode(fields)).hexdigest()
    return idempotent_request(key, context.caller, request.path, b"")


def _back(context: PageContext, sent: Mapping[str, str]) -> str:
    """The page of the workspace that a form leads back to; empty if it names none."""
    back = sent.get("form:back", "")
    return back if back.startswith(f"{context.root}/") else ""


async def editing(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """The form of a record."""
    form = _form_of(context, record_type_of(context, module), await document_of(context, module, id))
    return await _page(context, form, notice=_archived(context, form) if form.record["archived_at"] else None)


async def edited(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Change a record by the form: if someone else changed it in the meantime, both are shown and nothing is saved."""
    record_type = record_type_of(context, module)
    document = await document_of(context, module, id)
    stored = _form_of(context, record_type, document)
    picks = await resolved(context, record_type, await request.form)
    sent = SentForm.of(stored, picks.form)
    if sent.needs_choice(stored):
        return await _conflict(context, stored, sent)
    form = replace(stored.sent(picks.form), values=sent.mine)
    if picks.searches:
        return await _page(context, form, picks=picks)
    try:
        return await _saved(context, form, picks, document)
    except RevisionMismatch:  # someone else was quicker by a moment
        return await edited(context, module, id)
    except _KEEPING as error:
        return await _page(context, form, error=error, picks=picks)


async def _saved(context: PageContext, form: RecordForm, picks: Picks, document: Document) -> Response:
    access, unchanged = access_of(context, form.type.NAME), Preconditions(etag(document.revision, document.body))
    patch = patch_of(form, not_chosen_of(form, picks.texts), access.shape, access.shape.parse(document.body).writable)
    written = await context.services.records.writes.update(access, document.id, patch, unchanged)
    confirmation = gettext("Nothing was changed")
    if written.revision != document.revision:
        confirmation = gettext("{name} saved", name=msgspec.json.decode(written.body)["name"])
    return redirect(context, f"/{form.type.NAME}/{document.id}", confirmation)


async def _conflict(context: PageContext, stored: RecordForm, sent: SentForm) -> Response:
    merge, problem = sent.merge(stored), None
    if sent.open and (count := len(merge.undecided)):
        text = ngettext("Choose a version of {n} more field.", "Choose a version of {n} more fields.", count)
        problem = failure(gettext("Nothing is saved yet."), text)
    conflict = await conflict_of(context, stored, merge)
    return await _page(context, replace(stored, values=merge.values), conflict=conflict, problem=problem)


async def _page(
    context: PageContext,
    form: RecordForm,
    *,
    error: CrmError | None = None,
    conflict: EditConflict | None = None,
    problem: PageNotice | None = None,
    picks: Picks | None = None,
    notice: PageNotice | None = None,
) -> Response:
    form = await with_shown(context, form.refused(error.errors) if error else form, picks)
    module, singular, record = form.type.NAME, context.singular_of(form.type), form.record
    path = f"{context.root}/{module}"
    here = f"{path}/{record['id']}" if record else path
    back = _back(context, {**request.args, **(await request.form)})
    crumbs = [PageLink(path, context.title_of(form.type))]
    if record:
        crumbs.append(PageLink(here, record["name"]))
    view = PageView(
        "edit.html",
        module=module,
        heading=gettext("Edit {name}", name=record["name"]) if record else gettext("New {record}", record=singular),
        crumbs=tuple(crumbs),
        id=record["id"] if record else "",
        revision=record["revision"] if record else 0,
        base=msgspec.json.encode(form.stored).decode() if record else "",  # what the user started from
        action=f"{here}/edit" if record else f"{path}/new",
        cancel=back or here,
        back=back,
        path=path,
        submit=gettext("Save") if record else gettext("Create {record}", record=singular),
        foot=gettext("Saving creates revision {revision}.", revision=record["revision"] + 1) if record else "",
        fields=tuple(form.fields()),
        groups=tuple(form.groups()),
        rows=tuple(form.rows()),
        notice=notice,
        problem=problem or (await _problem(context, error, form) if error else None),
        may_insist=problem is not None and problem.href != "",
        conflict=conflict,
        draft=f"{request.full_path} {record.get('revision', 0)}",  # names what is typed
        once=request.sent.request_id,  # another on each page with the form
    )
    status = error.status if error else 422 if problem else 409 if conflict else 200
    return await page(context, module, view, status)


async def _problem(context: PageContext, error: CrmError, form: RecordForm) -> PageNotice:
    count = len([name for name in form.errors if name])
    if isinstance(error, RecordArchived) and form.record:
        return replace(_archived(context, form), tone="bad")
    if isinstance(error, NotUnique):
        return await same_value_notice(context, form.type, error)
    if isinstance(error, ServerError):  # its own words are for the operator
        return failure(*input_stays())
    if isinstance(error, LimitReached) and (full := await full_text(context, form.type)):
        return failure(f"{gettext(error.title)}.", full)
    if not isinstance(error, InvalidRecord) or not count:
        return failure(f"{gettext(error.title)}.", form.errors.get("") or localized(error.detail))
    title = ngettext("{n} field needs attention.", "{n} fields need attention.", count)
    return failure(title, gettext("Nothing is saved yet."))


def _archived(context: PageContext, form: RecordForm) -> PageNotice:
    """The notice that a record must be restored first, with a link that leaves the form open."""
    return PageNotice(
        tone="warn",
        icon="box",
        title=gettext("This record is archived."),
        text=gettext("Restore it, then save here."),
        href=f"{context.root}/{form.type.NAME}/{form.record['id']}",
        link=gettext("Open {name}", name=form.record["name"]),
        apart=True,
    )


def _form_of(context: PageContext, record_type: RecordType, document: Document) -> RecordForm:
    return RecordForm.of(record_type, msgspec.json.decode(document.body), context.formats)

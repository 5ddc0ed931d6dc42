"""Creating and changing records by forms: what was typed is never lost, and nobody's change is overwritten unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from quart import Response, request

from crm_core.errors import (
    CrmError,
    InvalidRecord,
    LimitReached,
    RecordError,
    RevisionMismatch,
    ServerError,
    SubscriptionSuspended,
)
from crm_core.plugin.record_type import RecordType
from crm_core.plugin.storage import Document
from crm_core.records.shape import etag
from crm_core.web.pages.layout.parts import PageLink, PageNotice
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.choices import choices_of
from crm_core.web.pages.records.conflicts import EditConflict, conflict_of
from crm_core.web.pages.records.details import record_type_of
from crm_core.web.pages.records.forms import (
    Field,
    Group,
    Values,
    blank,
    errors_of,
    form_of,
    leaves,
    patch_of,
    read,
    values_of,
)
from crm_core.web.pages.records.merging import differences, merged, undecided

_UNPROCESSABLE: Final = 422
_CONFLICT: Final = 409
_KEEPING: Final = (RecordError, LimitReached, SubscriptionSuspended, ServerError)
"""Refusals that come back with the form, so that nothing typed is lost."""


class EditView(msgspec.Struct, frozen=True, kw_only=True):
    """A form for its page. ``base``: the values that the user started from, as JSON."""

    module: str
    heading: str
    crumbs: tuple[PageLink, ...]
    id: str
    revision: int
    base: str
    action: str
    cancel: str
    submit: str
    foot: str
    fields: tuple[Field, ...]
    groups: tuple[Group, ...]
    problem: PageNotice | None
    conflict: EditConflict | None


async def creating(context: PageContext, module: str) -> Response:
    """The form of a new record; the address may hold values to begin with."""
    record_type = record_type_of(context, module)
    values = blank(record_type)
    known = {name for name, _ in leaves(record_type)}
    values |= {name: value for name, value in request.args.items() if name in known}
    return await _form(context, record_type, values)


async def created(context: PageContext, module: str) -> Response:
    """Make a record from the form."""
    record_type = record_type_of(context, module)
    values = read(record_type, await request.form)
    records = context.services.records
    try:
        data = patch_of(record_type, values, None, {})
        written = await records.writes.create(records.access(context.tenant, context.caller, module), data, None)
    except _KEEPING as error:
        return await _form(context, record_type, values, error=error)
    return redirect(context, f"/{module}/{written.id}", f"{record_type.SINGULAR} created")


async def editing(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """The form of a record."""
    record_type = record_type_of(context, module)
    document = await _document(context, module, id)
    record = msgspec.json.decode(document.body)
    return await _form(context, record_type, values_of(record_type, record), record=record)


async def edited(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Change a record by the form: where somebody else changed it meanwhile, both are shown and nothing is saved."""
    record_type = record_type_of(context, module)
    sent = Sent.of(record_type, await request.form)
    document = await _document(context, module, id)
    record = msgspec.json.decode(document.body)
    theirs = values_of(record_type, record)
    if sent.is_disputed(document.revision, theirs):
        return await _disputed(context, record_type, record, sent)
    try:
        return await _saved(context, record_type, document, sent.mine, theirs)
    except RevisionMismatch:  # somebody was quicker by a moment
        return await edited(context, module, id)
    except _KEEPING as error:
        return await _form(context, record_type, sent.mine, record=record, error=error)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What the form of a record says. ``base``: what its page was made of; ``was``: what a dispute began with.

    ``picks``: ``mine`` or ``theirs`` by field; ``open``: fields that were to be chosen for and were not. The names of
    the form's own fields contain a colon, as no member's does.
    """

    mine: Values
    base: Values
    was: Values
    picks: Mapping[str, str]
    open: tuple[str, ...]
    revision: str

    @classmethod
    def of(cls, record_type: RecordType, form: Any) -> Sent:
        """The form as it was sent; a field for which theirs was picked holds theirs."""
        mine, base = read(record_type, form), _unpacked(form.get("form:base", ""), record_type)
        picks = {name: form.get(f"form:pick:{name}", "") for name in mine}
        mine |= {name: base[name] for name, picked in picks.items() if picked == "theirs"}
        wanted = form.get("form:decide", "").split()
        return cls(
            mine=mine,
            base=base,
            was=_unpacked(form.get("form:was", ""), record_type) if wanted else base,
            picks=picks,
            open=tuple(name for name in wanted if not picks.get(name)),
            revision=form.get("revision", ""),
        )

    def is_disputed(self, revision: int, theirs: Values) -> bool:
        """Whether there is something to choose before anything is saved."""
        return bool(self.open) or self._is_old(revision, theirs)

    def began_with(self, revision: int, theirs: Values) -> Values:
        """What both sides started from."""
        return self.base if self._is_old(revision, theirs) else self.was

    def _is_old(self, revision: int, theirs: Values) -> bool:
        return self.revision != str(revision) and theirs != self.base


async def _saved(
    context: PageContext, record_type: RecordType, document: Document, mine: Values, theirs: Values
) -> Response:
    records, module = context.services.records, record_type.NAME
    patch = patch_of(record_type, mine, theirs, msgspec.json.decode(document.body))
    access = records.access(context.tenant, context.caller, module)
    written = await records.writes.update(access, document.id, patch, etag(document.revision, document.body))
    changed = written.revision != document.revision
    said = f"Saved as revision {written.revision}" if changed else "Nothing was changed"
    return redirect(context, f"/{module}/{document.id}", said)


async def _disputed(context: PageContext, record_type: RecordType, record: Mapping[str, Any], sent: Sent) -> Response:
    theirs = values_of(record_type, record)
    was = sent.began_with(record["revision"], theirs)
    found = differences(was, sent.mine, theirs, sent.picks)
    conflict = await conflict_of(context, record_type, record, was, found)
    problem = None
    if sent.open and (left := undecided(found)):
        told = f"Choose a version of {len(left)} more field{'s' if len(left) > 1 else ''}."
        problem = PageNotice(tone="bad", icon="alert", title="Nothing is saved yet.", text=told)
    values = merged(was, sent.mine, theirs)
    return await _form(context, record_type, values, record=record, conflict=conflict, problem=problem)


async def _form(
    context: PageContext,
    record_type: RecordType,
    values: Values,
    *,
    record: Mapping[str, Any] | None = None,
    error: CrmError | None = None,
    conflict: EditConflict | None = None,
    problem: PageNotice | None = None,
) -> Response:
    module, singular = record_type.NAME, record_type.SINGULAR.lower()
    errors = errors_of(record_type, error.errors) if error else {}
    fields, groups = form_of(record_type, values, await choices_of(context, record_type, values), errors)
    path = f"{context.root}/{module}"
    here = f"{path}/{record['id']}" if record else path
    crumbs = [PageLink(path, context.workspace.modules.states[module].title)]
    if record:
        crumbs.append(PageLink(here, record["name"]))
    view = EditView(
        module=module,
        heading=f"Edit {record['name']}" if record else f"New {singular}",
        crumbs=tuple(crumbs),
        id=record["id"] if record else "",
        revision=record["revision"] if record else 0,
        base=_packed(values_of(record_type, record)) if record else "",
        action=f"{here}/edit" if record else f"{path}/new",
        cancel=here,
        submit="Save" if record else f"Create {singular}",
        foot=f"Saving creates revision {record['revision'] + 1}." if record else "",
        fields=tuple(fields),
        groups=tuple(groups),
        problem=problem or (_problem(error, errors) if error else None),
        conflict=conflict,
    )
    status = error.status if error else _UNPROCESSABLE if problem else _CONFLICT if conflict else 200
    return await page(context, "edit.html", module, view, status)


def _problem(error: CrmError, errors: Mapping[str, str]) -> PageNotice:
    count = len([name for name in errors if name])
    if not isinstance(error, InvalidRecord) or not count:
        return PageNotice(tone="bad", icon="alert", title=f"{error.title}.", text=errors.get("", error.detail))
    title = f"Check {count} field{'' if count == 1 else 's'}."
    return PageNotice(tone="bad", icon="alert", title=title, text="Nothing is saved yet. Your input is still here.")


async def _document(context: PageContext, module: str, record_id: str) -> Document:
    records = context.services.records
    return await records.reads.detail(records.access(context.tenant, context.caller, module), record_id)


def _unpacked(text: str, record_type: RecordType) -> Values:
    """The values that the user started from, as the form brought them back; anything else is as good as blank."""
    try:
        found = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError:
        found = {}
    return {name: found.get(name, "") for name, _ in leaves(record_type)}


def _packed(values: Values) -> str:
    return msgspec.json.encode(values).decode()

"""For the scripts of forms: the matches of a picker, a new record made on the way, and how a text is read."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from crm_core.errors import InvalidRecord, NotFound
from crm_core.language import gettext
from crm_core.model.currencies import CURRENCIES
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import is_picked
from crm_core.web.pages.records.forms import RecordForm, field_member
from crm_core.web.pages.records.picking import matches_of, own_values
from crm_core.web.pages.records.queries import access_of, record_type_of
from crm_core.web.pages.records.typed_values import read
from crm_core.workspace import require

_LONGEST: Final = 200


async def choices(context: PageContext, module: str) -> Response:
    """The matches of a picker as JSON: ``{"items": [{value, text, label, about}], "more", "create", "fields"}``.

    ``create``: whether the user may create a record of the kind sought, ``fields``: the names and labels of the short
    form for it.
    """
    record_type = record_type_of(context, module)
    member = next((one for one in record_type.members if one.name == request.args.get("field")), None)
    if member is None or not is_picked(member):
        raise NotFound(gettext("This form has no such field."))
    if member.reference is not None:
        require(context.workspace, context.caller, f"{member.reference}.view")
    found = await matches_of(context, member, request.args.get("q", "").strip()[:_LONGEST])
    made = _created(context, member)
    fields = [(one.name, one.label) for one in _short_form(made)] if made else []
    singular = context.singular_of(made) if made else ""
    return _json({"items": found.items, "more": found.more, "create": singular, "fields": fields})


async def created_quickly(context: PageContext, module: str) -> Response:
    """Create a record from a picker's short form: ``{"value", "text"}``, 422 with ``{"errors"}`` by field."""
    form = RecordForm.blank(record_type_of(context, module), context.formats).sent(await request.form)
    form = replace(form, values={**form.values, **own_values(context, form.type)})
    try:
        written = await context.services.records.writes.create(access_of(context, module), form.patch(), None)
    except InvalidRecord as error:
        return _json({"errors": form.refused(error.errors).errors}, error.status)
    return _json({"value": written.id, "text": msgspec.json.decode(written.body)["name"]}, 201)


async def reading(context: PageContext, module: str) -> Response:
    """``{"text"}`` of the field that the address names: its value in full, both of an ambiguous text, or empty."""
    member = field_member(record_type_of(context, module), request.args.get("field", ""))
    if member is None:
        raise NotFound(gettext("This form has no such field."))
    currency = request.args.get("currency", "").upper()
    known = currency if currency in CURRENCIES else None
    found = read(member, request.args.get("text", ""), context.formats, known)
    text = found.echo
    if found.question:
        *first, last = (option.text for option in found.question)
        text = gettext("{readings} or {last}?", readings=", ".join(first), last=last)
    return _json({"text": text})


def _created(context: PageContext, member: Member) -> RecordType | None:
    """The record type that a picker may create: one whose short form has all that is required."""
    if member.reference is None or not context.may(f"{member.reference}.create", writes=True):
        return None
    found = context.services.registry.record_types[member.reference]
    names = {one.name for one in _short_form(found)}
    return found if all(one.name in names for one in found.members if one.required) else None


def _short_form(record_type: RecordType) -> list[Member]:
    entered = (one for one in record_type.members if one.name not in record_type.COMPUTED)
    return [one for one in entered if one.name == "name" or one.kind in ("email", "phone")]


def _json(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, content_type="application/json")

"""How a field is read while one types: the script of a form asks, and shows the answer below it."""

from __future__ import annotations

import msgspec

from crm_core.errors import NotFound
from crm_core.language import gettext
from crm_core.model.currencies import CURRENCIES
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.forms import field_member
from crm_core.web.pages.records.queries import record_type_of
from crm_core.web.pages.records.typed_values import read


async def echo(context: PageContext, module: str) -> Response:
    """``{"text"}`` of the field that the address names: its value in full, both of an ambiguous text, or empty."""
    record_type = record_type_of(context, module)
    member = field_member(record_type, request.args.get("field", ""))
    if member is None:
        raise NotFound(gettext("This form has no such field."))
    currency = request.args.get("currency", "").upper()
    known = currency if currency in CURRENCIES else None
    found = read(member, request.args.get("text", ""), context.formats, known)
    text = found.echo
    if found.question:
        *first, last = (option.text for option in found.question)
        text = gettext("{readings} or {last}?", readings=", ".join(first), last=last)
    return Response(msgspec.json.encode({"text": text}), content_type="application/json")

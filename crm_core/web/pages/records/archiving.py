"""Archiving a record with one click, which can be undone, and bringing it back."""

from __future__ import annotations

import msgspec

from crm_core.language import gettext
from crm_core.records.preconditions import Preconditions
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.frame import Undo
from crm_core.web.pages.page_answers import redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import access_of, document_of, record_type_of


async def archive(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Archive a record; the list it leaves to offers to undo it."""
    form, record_type = await request.form, record_type_of(context, module)
    document = await document_of(context, module, id)
    await context.services.records.archive.archive(access_of(context, module), id, _unchanged(form.get("revision", "")))
    name, list_path = msgspec.json.decode(document.body)["name"], f"{context.root}/{record_type.NAME}"
    back = f"{list_path}/{id}"
    undo = Undo(action=f"{back}/restore", member="", value="", revision=document.revision + 1, back=back)
    return redirect(context, list_path, gettext("{name} archived", name=name), undo)


async def restore(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Bring a record back and show it."""
    record_type_of(context, module)
    access = access_of(context, module)
    written = await context.services.records.archive.restore(access, id, Preconditions())
    return redirect(
        context, f"/{module}/{id}", gettext("{name} restored", name=msgspec.json.decode(written.body)["name"])
    )


def _unchanged(revision: str) -> Preconditions:
    """Only the revision that the page showed is archived."""
    return Preconditions(f'"{revision}"')

"""Undoing the newest change of a record: a new change that sets back what it changed."""

from __future__ import annotations

from typing import Any

import msgspec

from crm_core.errors import RevisionMismatch
from crm_core.language import gettext
from crm_core.model.change_log import ChangeEntry
from crm_core.plugin.record_type import RecordType
from crm_core.records.preconditions import Preconditions
from crm_core.records.shape import etag
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.names import within
from crm_core.web.pages.page_answers import redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import access_of, document_of, record_type_of


async def undo(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Set back what the newest change changed, unless the record has changed since the page was made."""
    record_type, access = record_type_of(context, module), access_of(context, module)
    document = await document_of(context, module, id)
    page = await context.services.records.feed.history(access, id, 1)
    newest = page.entries[0].entry if page.entries else None
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


def before_of(entry: ChangeEntry, record_type: RecordType) -> dict[str, Any]:
    """The merge patch that sets every changed place back, but for computed ones."""
    patch: dict[str, Any] = {}
    for change in entry.changes:
        *outer, last = (step.replace("~1", "/").replace("~0", "~") for step in change.pointer[1:].split("/"))
        place = patch
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = msgspec.to_builtins(change.before)
    return {name: value for name, value in patch.items() if name not in record_type.COMPUTED}

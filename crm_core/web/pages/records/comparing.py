"""The page that compares two records that may be the same, and the acts that remember and forget that they are not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from crm_core.errors import NotFound
from crm_core.language import gettext, ngettext
from crm_core.plugin.record_type import RecordType
from crm_core.records.guarded_store import require_live
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.frame import Undo
from crm_core.web.pages.layout.parts import Mark, PageLink
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import Cell, CellRenderer
from crm_core.web.pages.records.details import fact_names
from crm_core.web.pages.records.queries import access_of, document_of, record_type_of

_MOMENTS: Final = ("created_at", "updated_at")
"""Shown to choose by, but never marked: they differ nearly always."""


class ComparedRow(NamedTuple):
    """A member of both records; ``mark``: that its values differ."""

    label: str
    mine: Cell
    theirs: Cell
    mark: Mark | None


async def comparison(context: PageContext, module: str, id: str, other: str) -> Response:  # noqa: A002 -- the wire's word
    """Both records, member by member."""
    record_type = record_type_of(context, module)
    if id == other:
        raise NotFound(gettext("There is no page at this address."))
    mine, theirs = await _live(context, module, id), await _live(context, module, other)
    path = f"{context.root}/{module}"
    rows = tuple([row async for row in _rows(context, record_type, mine, theirs)])
    links = tuple(PageLink(f"{path}/{one['id']}", one["name"]) for one in (mine, theirs))
    text = ngettext("{n} field differs.", "{n} fields differ.", sum(row.mark is not None for row in rows))
    is_distinct = await context.services.records.distinct.has(context.tenant, id, other)
    if is_distinct:
        text += " " + gettext("Remembered: they are not duplicates.")
    view = PageView(
        "compare.html",
        module=module,
        heading=gettext("Compare"),
        text=text,
        crumbs=(PageLink(path, context.title_of(record_type)), links[0]),
        records=links,
        rows=rows,
        revisions=(mine["revision"], theirs["revision"]) if context.may(f"{module}.delete", writes=True) else (),
        distinct=f"{path}/{id}/distinct" if context.may(f"{module}.update", writes=True) else "",
        is_distinct=is_distinct,
        other=other,
    )
    return await page(context, module, view)


async def remember_distinct(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Remember that two records are no duplicates, and go back to the first."""
    record_type_of(context, module)
    other = (await request.form).get("other", "")
    found = await context.services.records.distinct.add(access_of(context, module), id, other)
    name, back = msgspec.json.decode(found.body)["name"], f"{context.root}/{module}/{id}"
    undo = Undo(action=f"{back}/distinct/remove", value=found.id, back=back)
    return redirect(context, back, gettext("Remembered: {name} is not a duplicate", name=name), undo)


async def forget_distinct(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """Forget that two records are no duplicates, and go back to the first. The Undo of a toast sends a ``value``."""
    record_type_of(context, module)
    form = await request.form
    other = form.get("other") or form.get("value", "")
    found = await context.services.records.distinct.remove(access_of(context, module), id, other)
    name = msgspec.json.decode(found.body)["name"]
    return redirect(context, f"/{module}/{id}", gettext("{name} may be a duplicate again", name=name))


async def _live(context: PageContext, module: str, id_: str) -> dict[str, Any]:
    document = await document_of(context, module, id_)
    require_live(access_of(context, module), document)
    found: dict[str, Any] = msgspec.json.decode(document.body)
    return found


async def _rows(
    context: PageContext, record_type: RecordType, mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> AsyncIterator[ComparedRow]:
    """The members that one of the records has a value of."""
    cells, lists = CellRenderer(context, record_type), [one.name for one in record_type.members if one.kind == "rows"]
    for name in ("name", *fact_names(record_type), *lists, *_MOMENTS):
        one, other = await cells.cell(name, mine), await cells.cell(name, theirs)
        if one.is_blank and other.is_blank:
            continue
        differs = name not in _MOMENTS and (mine.get(name), one.text) != (theirs.get(name), other.text)
        yield ComparedRow(one.label, one, other, Mark("warn", "alert", gettext("Different")) if differs else None)

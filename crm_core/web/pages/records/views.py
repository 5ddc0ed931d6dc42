"""Saved views of a list as tabs with counts, and the forms that save and remove them and choose the columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, urlencode

from crm_core.errors import CrmError, InvalidParameter, InvalidRecord
from crm_core.language import gettext, localized
from crm_core.model.list_views import ListChoices, SavedView
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.parts import failure, with_query
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.list_columns import COLUMNS, known_columns, own_columns
from crm_core.web.pages.records.list_view import Tab
from crm_core.web.pages.records.queries import access_of, list_parameters, record_type_of, total_of

_LONGEST: Final = 8192  # of a query
_MOST_COUNTED: Final = 10_000
"""Records of a type up to which saved views have counts; in longer lists each count takes too long."""


def in_address(context: PageContext, record_type: RecordType, sent: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a list that its address and its saved views have: filters, sort and columns."""
    found = list_parameters(access_of(context, record_type.NAME).shape, sent)
    named = sent.get(COLUMNS)
    if named and (columns := known_columns(record_type, named.split(","))):
        found[COLUMNS] = ",".join(columns)
    return found


def in_query(context: PageContext, record_type: RecordType, query: str) -> dict[str, str]:
    """The same of a saved view, or of a form that sends the query of its list along."""
    return in_address(context, record_type, dict(parse_qsl(query[:_LONGEST])))


def open_ones(record_type: RecordType) -> dict[str, str]:
    """The filter that leaves out what is done, with which such a list begins; empty if records are never done."""
    due = record_type.DUE
    return {due.done: "false"} if due and due.done else {}


def names_the_list(record_type: RecordType) -> bool:
    """Whether the address of a list says so, since the module's own begins with a board or with the open records."""
    return bool(record_type.LANES or open_ones(record_type))


def address_of(context: PageContext, record_type: RecordType, parameters: Mapping[str, str]) -> str:
    """The address of a list."""
    query = {**({"view": "list"} if names_the_list(record_type) else {}), **parameters}
    return with_query(f"{context.root}/{record_type.NAME}", query)


async def counts_of(context: PageContext, record_type: RecordType, choices: ListChoices) -> tuple[str, ...]:
    """The numbers of the tabs: of all records, those that are not done, the saved views, and the archived ones."""
    total = await context.services.records.count(context.tenant, record_type.NAME)
    found = [context.formats.number(total)]
    if undone := open_ones(record_type):
        found.append(await _count(context, record_type, undone))
    for view in choices.views:
        query = in_query(context, record_type, view.query)
        found.append(await _count(context, record_type, query) if total <= _MOST_COUNTED else "")
    archived = await context.services.records.count(context.tenant, record_type.NAME, archived=True)
    return (*found, context.formats.number(archived))


def tabs_of(
    context: PageContext,
    record_type: RecordType,
    parameters: Mapping[str, str],
    choices: ListChoices,
    counts: Sequence[str],
) -> Iterator[Tab]:
    """All records, those that are not done, the saved views, and the archived ones, each with its number."""
    archived = parameters.get("archived") == "true"
    current = current_view(context, record_type, parameters, choices)
    undone = open_ones(record_type)
    only_open = bool(undone) and undone.items() <= parameters.items()
    live, number = not archived and current is None, iter(counts)
    yield Tab(gettext("All"), address_of(context, record_type, {}), live and not only_open, next(number))
    if undone:
        yield Tab(gettext("Open"), address_of(context, record_type, undone), live and only_open, next(number))
    for view in choices.views:
        query = in_query(context, record_type, view.query)
        yield Tab(view.name, address_of(context, record_type, query), view is current, next(number))
    only = {"archived": "true"}
    yield Tab(gettext("Archived"), address_of(context, record_type, only), archived and current is None, next(number))


def current_view(
    context: PageContext, record_type: RecordType, parameters: Mapping[str, str], choices: ListChoices
) -> SavedView | None:
    """The saved view that the list shows; None if it shows none of them exactly."""
    shown = dict(parameters)
    return next((one for one in choices.views if in_query(context, record_type, one.query) == shown), None)


async def _count(context: PageContext, record_type: RecordType, parameters: Mapping[str, str]) -> str:
    """How many records a view has; empty if its filters are no longer valid, as after an update of a plugin."""
    wanted = {name: value for name, value in parameters.items() if name not in (COLUMNS, "sort")}
    try:
        return context.formats.number(await total_of(context, record_type.NAME, wanted))
    except InvalidParameter:
        return ""


async def save(context: PageContext, module: str) -> Response:
    """Save the filters, sort and columns of the list as a view."""
    record_type, form = record_type_of(context, module), await request.form
    parameters = in_query(context, record_type, form.get("query", ""))
    stored = await context.services.records.list_views.of(context.tenant, context.caller, module)
    if stored.columns and COLUMNS not in parameters:
        parameters[COLUMNS] = ",".join(stored.columns)
    try:
        wanted = {name: value for name, value in parameters.items() if name != COLUMNS}
        await context.services.records.reads.list(access_of(context, module), {**wanted, "limit": "1"})
        view = await context.services.records.list_views.save(
            context.tenant, context.caller, module, form.get("name", ""), urlencode(parameters)
        )
    except (InvalidRecord, InvalidParameter) as error:
        return await _refused(context, record_type, error, form.get("name", ""), urlencode(parameters))
    text = gettext("View {name} saved", name=view.name)
    if stored.named(view.name) is not None:
        text = gettext("View {name} replaced", name=view.name)
    return redirect(context, address_of(context, record_type, parameters), text)


async def remove(context: PageContext, module: str) -> Response:
    """Remove a saved view; the list with its filters stays."""
    record_type, form = record_type_of(context, module), await request.form
    name = form.get("name", "")
    await context.services.records.list_views.remove(context.tenant, context.caller, module, name)
    parameters = in_query(context, record_type, form.get("query", ""))
    return redirect(context, address_of(context, record_type, parameters), gettext("View {name} removed", name=name))


async def choose_columns(context: PageContext, module: str) -> Response:
    """Choose the columns of a list and their order; ``form:up`` and ``form:down`` move one of them."""
    record_type, form = record_type_of(context, module), await request.form
    columns = list(known_columns(record_type, form.getlist("column")))
    for name, step in (("form:up", -1), ("form:down", 1)):
        moved = form.get(name)
        if moved in columns:
            at = columns.index(moved)
            columns.remove(moved)
            columns.insert(max(0, at + step), moved)
    own = "form:reset" in form or tuple(columns) == own_columns(record_type)
    chosen = () if own else tuple(columns)
    await context.services.records.list_views.set_columns(context.tenant, context.caller, module, chosen)
    parameters = in_query(context, record_type, form.get("query", ""))
    parameters.pop(COLUMNS, None)
    return redirect(context, address_of(context, record_type, parameters), gettext("Columns saved"))


async def _refused(context: PageContext, record_type: RecordType, error: CrmError, name: str, query: str) -> Response:
    """The form of a view again, with what is wrong."""
    path = f"{context.root}/{record_type.NAME}"
    view = PageView(
        "view.html",
        module=record_type.NAME,
        title=context.title_of(record_type),
        problem=failure(gettext("The view is not saved."), localized(error.detail)),
        name=name,
        query=query,
        action=f"{path}/views",
        back=address_of(context, record_type, dict(parse_qsl(query))),
    )
    return await page(context, record_type.NAME, view, error.status)

"""The page of a record: its values, the records that refer to it, and who changed it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from crm_core.language import gettext, noun
from crm_core.plugin.record_type import RecordType
from crm_core.records.erasing import ERASE
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.labels import choice_labels
from crm_core.web.pages.layout.parts import Option, PageLink
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import Cell, CellRenderer, first_of_kind
from crm_core.web.pages.records.doubles import distinct_links, double_banner
from crm_core.web.pages.records.forms import leaves
from crm_core.web.pages.records.queries import document_of, record_type_of
from crm_core.web.pages.records.related import new_address, referrers, related_of
from crm_core.web.pages.records.timeline import timeline
from crm_core.web.pages.records.timeline_entries import moment_of


class Composer(msgspec.Struct, frozen=True, kw_only=True):
    """The form of a new dated record that refers to this one: its address, and the names of its fields.

    ``once``: is another on each page with the form.
    """

    action: str
    reference: str
    kind: str
    kinds: tuple[Option, ...]
    text: str
    moment: str
    owner: str
    me: str
    once: str


class FactRow(NamedTuple):
    """A value with its label in a sentence. ``pen``: its place in the form, empty if it cannot be changed."""

    name: str
    cell: Cell
    pen: str
    label: str


async def detail(context: PageContext, module: str, id: str) -> Response:  # noqa: A002 -- the wire's word
    """The page of a record."""
    record_type = record_type_of(context, module)
    record = msgspec.json.decode((await document_of(context, module, id)).body)
    return await page(context, module, await _view(context, record_type, record))


async def _view(context: PageContext, record_type: RecordType, record: dict[str, Any]) -> PageView:
    module, path = record_type.NAME, f"{context.root}/{record_type.NAME}"
    live = record["archived_at"] is None
    may_update = live and context.may(f"{module}.update", writes=True)
    cells = CellRenderer(context, record_type, ticks=may_update)
    edit = f"{path}/{record['id']}/edit" if may_update else ""
    facts = [_fact(record_type, name, await cells.cell(name, record), edit) for name in fact_names(record_type)]
    return PageView(
        "record.html",
        module=module,
        title=context.title_of(record_type),
        list=path,
        id=record["id"],
        name=record["name"],
        revision=record["revision"],
        mark=next((fact.cell.mark for fact in facts if fact.cell.mark), None),
        tags=next((fact.cell.tags for fact in facts if fact.cell.tags), ()),
        creates=tuple(_creates(context, record_type, record)) if live else (),
        edit=edit,
        path=f"{path}/{record['id']}",
        may_delete=context.may(f"{module}.delete", writes=True),
        erase=f"{path}/{record['id']}/erase" if not live and ERASE in context.keys else "",
        archived="" if live else await _archived(context, record),
        double=await double_banner(context, record_type, record, may_update=may_update) if live else None,
        distinct=await distinct_links(context, record_type, record["id"]) if live else (),
        facts=tuple(facts),
        tables=tuple(cells.tables(record)),
        related=await related_of(context, record_type, record, live=live),
        composer=_composer(context, record_type) if live else None,
        timeline=await timeline(
            context,
            CellRenderer(context, record_type),
            record,
            list(referrers(context, record_type)),
            show=request.args.get("show", ""),
            before=request.args.get("before", ""),
        ),
    )


async def _archived(context: PageContext, record: dict[str, Any]) -> str:
    """When and by whom the record was archived."""
    at, who = context.formats.moment(record["archived_at"]), await context.names.actor(record["updated_by"])
    return gettext("{who} archived it: {time}.", who=who, time=at.full)


def fact_names(record_type: RecordType) -> Iterator[str]:
    """The members that the page shows one by one, without the name."""
    left_out = ("rows", "currency") if first_of_kind(record_type, "decimal") else ("rows",)  # an amount shows both
    for member in record_type.members:
        if member.name != "name" and member.kind not in left_out:
            yield member.name
    yield "external_id"


def _fact(record_type: RecordType, name: str, cell: Cell, edit: str) -> FactRow:
    member = next((one for one in leaves(record_type) if one[0].partition(".")[0] == name), None)
    is_tick = record_type.DUE is not None and record_type.DUE.done == name
    if member is None or is_tick or not edit:
        return FactRow(name, cell, "", "")
    return FactRow(name, cell, f"{edit}#f-{member[0].replace('.', '-')}", noun(cell.label))


def _creates(context: PageContext, record_type: RecordType, record: dict[str, Any]) -> Iterator[PageLink]:
    for other, reference in referrers(context, record_type):
        if not moment_of(other) and context.may(f"{other.NAME}.create", writes=True):
            back = f"{context.root}/{record_type.NAME}/{record['id']}"
            href = new_address(context, other, {reference.member: record["id"]}, back)
            yield PageLink(href, gettext("New {record}", record=context.singular_of(other)))


def _composer(context: PageContext, record_type: RecordType) -> Composer | None:
    for other, reference in referrers(context, record_type):
        moment, text, kind = moment_of(other), first_of_kind(other, "paragraphs"), first_of_kind(other, "choice")
        if moment and text and kind and context.may(f"{other.NAME}.create", writes=True):
            return Composer(
                action=f"{context.root}/{other.NAME}/new",
                reference=reference.member,
                kind=kind.name,
                kinds=choice_labels(kind),
                text=text.name,
                moment=moment,
                owner=other.OWNER or "",
                me=context.caller.email,
                once=request.sent.request_id,
            )
    return None

"""The records that refer to a record: open sales with their sums, open tasks, others as they were changed last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup

from crm_core.language import gettext, noun
from crm_core.model.turns import chosen_in_turns
from crm_core.plugin.record_type import Pipeline, RecordType, Reference
from crm_core.records.figures import Row
from crm_core.records.list_query import MAX_LIMIT, Parameters
from crm_core.web.pages.figures.amounts import Amounts
from crm_core.web.pages.figures.sales import Sales
from crm_core.web.pages.layout.frame import icon_of
from crm_core.web.pages.layout.labels import member_label
from crm_core.web.pages.layout.parts import Mark
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CellRenderer, currency_in, day_member, mark_of
from crm_core.web.pages.records.queries import TypeRows, access_of, records_of
from crm_core.web.pages.records.timeline_entries import moment_of

_SHOWN: Final = 5  # records of each type


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """A record that refers to this one."""

    href: str
    name: str
    about: str
    mark: Mark | None
    sum: str
    tick: Markup


class RelatedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one type that refer to this one by one member. ``figures``: how many are open, and their sums."""

    title: str
    icon: str
    create: str
    create_text: str
    figures: tuple[str, ...]
    items: tuple[Related, ...]
    nothing: str
    more: str
    more_text: str


class _GroupRecords(NamedTuple):
    """The first records of a group and its figures. ``more``: the number of all, ``ended``: that of those not open."""

    title: str
    records: list[dict[str, Any]]
    figures: tuple[str, ...] = ()
    more: str = ""
    ended: tuple[str, ...] = ()


def referrers(context: PageContext, record_type: RecordType) -> Iterator[tuple[RecordType, Reference]]:
    """The types, as far as the user may view them, whose records refer to records of this one."""
    for other in context.services.registry.record_types.values():
        for reference in other.REFERENCES:
            fits = reference.record_type == record_type.NAME and reference.member in other.FILTERABLE
            if fits and context.may(f"{other.NAME}.view"):
                yield other, reference


def new_address(context: PageContext, record_type: RecordType, members: Mapping[str, str], back: str) -> str:
    """The form of a new record with some members set, which leads back to a page."""
    return f"{context.root}/{record_type.NAME}/new?{urlencode({**members, 'form:back': back})}"


def next_task(context: PageContext, record_type: RecordType, record: Mapping[str, Any], back: str) -> str:
    """The form of the next task about what a task or a note refers to; empty if there is none."""
    about = {one.record_type: record[one.member] for one in record_type.REFERENCES if record.get(one.member)}
    for other in context.services.registry.record_types.values():
        fits = other is record_type or moment_of(record_type)
        if fits and other.DUE and other.DUE.done and context.may(f"{other.NAME}.create", writes=True):
            members = {one.member: about[one.record_type] for one in other.REFERENCES if one.record_type in about}
            if members:
                return new_address(context, other, members, back)
    return ""


async def related_of(
    context: PageContext, record_type: RecordType, record: dict[str, Any], *, live: bool
) -> tuple[RelatedGroup, ...]:
    """The groups of a record's page, without dated records: the timeline shows those."""
    types = [one for one in referrers(context, record_type) if not moment_of(one[0])]
    return tuple([await _group(context, other, reference, record["id"], live=live) for other, reference in types])


async def _group(
    context: PageContext, other: RecordType, reference: Reference, record_id: str, *, live: bool
) -> RelatedGroup:
    about = {reference.member: record_id}
    found = await _found(context, other, about)
    may_create = live and context.may(f"{other.NAME}.create", writes=True)
    back = f"{context.root}/{reference.record_type}/{record_id}"
    cells = CellRenderer(context, other, ticks=live and context.may(f"{other.NAME}.update", writes=True))
    more = " \u00b7 ".join(filter(None, (found.more, *found.ended)))
    return RelatedGroup(
        title=found.title,
        icon=icon_of(context.workspace.modules.states[other.module]),
        create=new_address(context, other, about, back) if may_create else "",
        create_text=context.one_of(other),
        figures=found.figures,
        items=tuple(_item(cells, one) for one in found.records),
        nothing=gettext("None open") if found.ended else gettext("None yet"),
        more=f"{context.root}/{other.NAME}?{urlencode({'view': 'list', **about})}" if more else "",
        more_text=more,
    )


async def _found(context: PageContext, other: RecordType, about: dict[str, str]) -> _GroupRecords:
    if other.PIPELINE:
        return await _sales(context, other, other.PIPELINE, about)
    number, due = context.formats.number, other.DUE
    shown = {**about, "limit": str(_SHOWN), "sort": due.day if due else "-updated_at", "total": "true"}
    if due is None or due.done is None:
        records, total = await records_of(context, other.NAME, shown)
        return _GroupRecords(context.title_of(other), records, more=_all_of(context, total))
    records, total = await records_of(context, other.NAME, {**shown, due.done: "false"})
    newest, done = await records_of(context, other.NAME, {**shown, due.done: "true", "sort": "-updated_at"})
    today = context.formats.start_of(context.formats.now.date())
    return _GroupRecords(
        _open_title(context, other),
        records + [one for one in newest if one["updated_at"] >= today],  # where their ticks can be taken back
        (number(total),) if total else (),
        _all_of(context, total),
        (gettext("{n} done", n=number(done)),) if done else (),
    )


async def _sales(context: PageContext, other: RecordType, pipeline: Pipeline, about: dict[str, str]) -> _GroupRecords:
    """The open sales, those that close first before the others, and the sums of both."""
    sales, amounts, number = Sales(context, other, pipeline), Amounts(context, other), context.formats.number
    shown: Parameters = {
        **about,
        pipeline.stage: sales.open_stages,
        "sort": pipeline.closes_on or "-updated_at",
        "limit": str(_SHOWN),
    }
    records, _ = await records_of(context, other.NAME, shown)
    rows = await _rows(context, other, about)
    still = await chosen_in_turns(rows, sales.is_open)
    ended = await chosen_in_turns(rows, lambda row: not sales.is_open(row))
    open_sums, ended_sums = await amounts.sums(still), await amounts.sums(ended)
    return _GroupRecords(
        _open_title(context, other),
        records,
        (number(len(still)), *amounts.texts(open_sums)) if still else (),
        _all_of(context, len(still)),
        (gettext("{n} closed", n=number(len(ended))), *amounts.texts(ended_sums)) if ended else (),
    )


async def _rows(context: PageContext, other: RecordType, about: dict[str, str]) -> Sequence[Row]:
    """Every record that refers to one: read themselves if they are few, else found among the rows of all."""
    of_type, ((member, value),) = TypeRows(context, other), about.items()
    parameters = {**about, "limit": str(MAX_LIMIT)}
    listing = await context.services.records.reads.list(access_of(context, other.NAME), parameters)
    if listing.next_cursor is None:
        return of_type.kind.rows([document.body for document in listing.documents])
    value_of = of_type.value(member)
    return await chosen_in_turns(await of_type.all(), lambda row: value_of(row) == value)


def _open_title(context: PageContext, other: RecordType) -> str:
    return gettext("Open {records}", records=noun(context.title_of(other)))


def _all_of(context: PageContext, total: int) -> str:
    return gettext("All {total}", total=context.formats.number(total)) if total > _SHOWN else ""


def _item(cells: CellRenderer, record: dict[str, Any]) -> Related:
    """A record in a line: its name, day, state and amount, and the button that says that it is done."""
    context, record_type = cells.context, cells.record_type
    state, day, mark, total, dated = "", "", None, "", day_member(record_type)
    for member in record_type.members:
        value = record.get(member.name)
        if value is None:
            continue
        if member is dated:
            day = f"{member_label(member)} {context.formats.day(value).short}"
            mark = cells.urgency(member, record) or mark
        elif member.kind == "choice" and not state:
            state = mark_of(member, value).text
        elif member.kind == "flag" and value and member.name != cells.ticks:
            mark = Mark("ok", "check", member_label(member))
        elif member.kind == "decimal" and not total:
            total = context.formats.money(value, currency_in(record_type, record))
    href = f"{context.root}/{record_type.NAME}/{record['id']}"
    tick = cells.tick(record) if cells.ticks else Markup()
    about = " \u00b7 ".join(filter(None, (state, day)))
    return Related(href=href, name=record["name"], about=about, mark=mark, sum=total, tick=tick)

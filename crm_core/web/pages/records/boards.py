"""The board of a record type that has lanes: a lane for each value, with count and sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from quart import Response, request

from crm_core.errors import NotFound
from crm_core.plugin.member import Member
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CellRenderer, currency_in
from crm_core.web.pages.records.queries import record_type_of, records_of

MOST_SUMMED: Final = 200  # records of a lane; above it no sum is shown, rather than a wrong one
_SHOWN: Final = 40


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A record on the board."""

    id: str
    href: str
    name: str
    revision: int
    about: str
    sum: str
    day: Moment | None
    person: str


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A lane; ``more`` links to all of its records if the board does not show them all."""

    value: str
    title: str
    count: str
    sum: str
    cards: tuple[Card, ...]
    more: str
    empty: str


class BoardView(msgspec.Struct, frozen=True, kw_only=True):
    """A board for its page."""

    module: str
    title: str
    sub: str
    member: str
    lane_member: str
    here: str
    list: str
    create: str
    create_text: str
    search_hint: str
    q: str
    may_move: bool
    lanes: tuple[Lane, ...]


async def board(context: PageContext, module: str) -> Response:
    """The board of a module."""
    record_type = record_type_of(context, module)
    if record_type.LANES is None:
        raise NotFound("This module has no board.")
    return await page(context, "board.html", module, await _view(context, record_type, record_type.LANES))


async def _view(context: PageContext, record_type: RecordType, lanes: str) -> BoardView:
    module, path = record_type.NAME, f"{context.root}/{record_type.NAME}"
    member = record_type.member(lanes)
    found = [await _lane(context, record_type, member, value, title) for value, title in member.choices]
    labels = " or ".join(record_type.member(name).label.lower() for name in record_type.SEARCHED)
    total = sum(count for _, count in found)
    return BoardView(
        module=module,
        title=context.title_of(record_type),
        sub=f"{context.formats.number(total)} in total",
        member=member.label.lower(),
        lane_member=lanes,
        here=f"{path}/board",
        list=f"{path}?view=list",
        create=f"{path}/new" if context.may(f"{module}.create", writes=True) else "",
        create_text=f"New {context.singular_of(record_type)}",
        search_hint=labels.capitalize() or "Search",
        q=request.args.get("q", "")[:200],
        may_move=context.may(f"{module}.update", writes=True),
        lanes=tuple(lane for lane, _ in found),
    )


async def _lane(
    context: PageContext, record_type: RecordType, member: Member, value: str, title: str
) -> tuple[Lane, int]:
    records, total = await lane_of(context, record_type, member.name, value, request.args.get("q", "")[:200])
    cells = CellRenderer(context, record_type)
    cards = [await _card(context, cells, record_type, record) for record in records[:_SHOWN]]
    query = urlencode({"view": "list", member.name: value})
    plural = context.title_of(record_type).lower()
    lane = Lane(
        value=value,
        title=title,
        count=context.formats.number(total),
        sum=sum_of(context, record_type, records) if total <= MOST_SUMMED else "",
        cards=tuple(cards),
        more=f"{context.root}/{record_type.NAME}?{query}" if total > len(cards) else "",
        empty=f"No {plural} in this lane",
    )
    return lane, total


async def lane_of(
    context: PageContext, record_type: RecordType, member: str, value: str, words: str = ""
) -> tuple[list[dict[str, Any]], int]:
    """The newest records of a lane, as many as can be summed, and how many there are."""
    parameters = {member: value, "limit": str(MOST_SUMMED), "sort": "-updated_at", "total": "true"} | (
        {"q": words} if words else {}
    )
    return await records_of(context, record_type.NAME, parameters)


def sum_of(context: PageContext, record_type: RecordType, records: Iterable[Mapping[str, Any]]) -> str:
    """The amounts of records, added up by currency; empty for a type without amounts."""
    amount = next((member.name for member in record_type.members if member.kind == "decimal"), None)
    if amount is None:
        return ""
    sums: dict[str, Decimal] = {}
    for record in records:
        if record[amount] is not None:
            currency = currency_in(record_type, record) or context.branding.regional.currency
            sums[currency] = sums.get(currency, Decimal()) + Decimal(record[amount])
    money = context.formats.money
    return " + ".join(money(total, currency) for currency, total in sorted(sums.items())) or money("0", None)


async def _card(context: PageContext, cells: CellRenderer, record_type: RecordType, record: Mapping[str, Any]) -> Card:
    about = person = total = ""
    day: str | None = None
    for member in _of_card(record_type):
        value = record.get(member.name)
        if value is None:
            continue
        if member.kind == "reference" and not about:
            about = (await cells.cell(member.name, record)).text
        elif member.kind == "date" and day is None:
            day = value
        elif member.kind == "decimal" and not total:
            total = context.formats.money(value, currency_in(record_type, record))
        elif member.is_person:
            person = await context.names.colleague(value)
    return Card(
        id=record["id"],
        href=f"{context.root}/{record_type.NAME}/{record['id']}",
        name=record["name"],
        revision=record["revision"],
        about=about,
        sum=total,
        day=context.formats.day(date.fromisoformat(day)) if day else None,
        person=person,
    )


def _of_card(record_type: RecordType) -> Iterator[Member]:
    return (one for one in record_type.members if one.kind in ("reference", "date", "decimal") or one.is_person)

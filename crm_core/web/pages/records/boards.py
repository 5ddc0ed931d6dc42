"""The board of a record type that has lanes: a lane for each value, with its count and a sum for each currency."""

from __future__ import annotations

from datetime import date
from itertools import chain
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup

from crm_core.errors import NotFound
from crm_core.language import gettext, gettext_noop
from crm_core.model.turns import Turn, chosen_in_turns
from crm_core.plugin.record_type import RecordType
from crm_core.records.figures import Row
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.figures.amounts import Amounts
from crm_core.web.pages.figures.sales import Sales
from crm_core.web.pages.layout.labels import as_alternatives, choice_labels, member_label, within_sentence
from crm_core.web.pages.layout.parts import Mark, with_query
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.board_rows import (
    MOST_FOUND,
    BoardFilter,
    BoardRows,
    board_rows,
    is_of,
    newest,
    urgent_marks,
)
from crm_core.web.pages.records.cells import CellRenderer, day_member
from crm_core.web.pages.records.list_view import Filter, Mine
from crm_core.web.pages.records.picking import TEXT, resolved
from crm_core.web.pages.records.queries import TypeRows, counted, record_type_of

_SHOWN: Final = 16  # of five full lanes the first load of the page is under 120 KB
_MOST_SHOWN: Final = 200  # of a lane whose records are all requested; the list has the others


class Card(NamedTuple):
    """A record on the board; ``html``: it without the line that undoes its move."""

    id: str
    href: str
    name: str
    revision: int
    html: Markup


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A lane; ``more`` leads to those of its records that it does not show."""

    value: str
    title: str
    name: str
    count: str
    sums: tuple[str, ...]
    cards: tuple[Card, ...]
    more: str
    more_text: str


async def board(context: PageContext, module: str) -> Response:
    """The board of a module."""
    record_type = record_type_of(context, module)
    if record_type.LANES is None:
        raise NotFound(gettext_noop("This module has no board."))
    if any(name.endswith(TEXT) for name in request.args):  # without script, or with a name that was not chosen
        picks = await resolved(context, record_type, request.args)
        return redirect(context, with_query(f"/{module}/board", picks.address))
    return await page(context, module, await _Board(context, record_type, record_type.LANES).view())


class _Board:
    def __init__(self, context: PageContext, record_type: RecordType, lanes: str) -> None:
        self._context, self._type, self._member = context, record_type, record_type.member(lanes)
        pipeline, self._owner = record_type.PIPELINE, record_type.OWNER
        self._sales = Sales(context, record_type, pipeline) if pipeline and pipeline.stage == lanes else None
        self._amounts, self._cells = Amounts(context, record_type), CellRenderer(context, record_type)
        self._value = TypeRows(context, record_type).value
        self._path = f"{context.root}/{record_type.NAME}"
        known = {"q", "closing", *([self._owner] if self._owner else [])}
        self._sent = {name: value[:200] for name, value in request.args.items() if name in known and value}
        self._all = request.args.get("all", "")
        dated = bool(self._sales and pipeline and pipeline.closes_on)
        self._chosen = BoardFilter(
            self._sent.get("q", "").strip(),
            self._sent.get(self._owner or "", ""),
            closing=dated and self._sent.get("closing") == "month",
        )
        self._dated = dated
        self._may_move = context.may(f"{record_type.NAME}.update", writes=True)
        self._turn = Turn()  # of all lanes

    async def view(self) -> PageView:
        context, kind, name = self._context, self._type, self._type.NAME
        found = await board_rows(context, kind, self._member.name, self._sales, self._chosen)
        shown = {
            lane: await newest(rows, _MOST_SHOWN if lane == self._all else _SHOWN) for lane, rows in found.lanes.items()
        }
        marks = await urgent_marks(context, kind, [row for rows in shown.values() for row in rows if self._open(row)])
        lanes = [
            await self._lane(value, title, found, shown[value], marks) for value, title in choice_labels(self._member)
        ]
        still = await chosen_in_turns([*chain.from_iterable(found.lanes.values())], self._open)
        many = (
            gettext("{n} open", n=context.formats.number(len(still)))
            if self._sales
            else counted(context, kind, len(still))
        )
        return PageView(
            "board.html",
            module=name,
            title=context.title_of(kind),
            sub=many,
            sums=self._amounts.texts(await self._amounts.sums(still)) if still else (),
            member=within_sentence(self._member),
            lane_member=self._member.name,
            path=self._path,
            here=self._here(),
            list=f"{self._path}?view=list",
            create=f"{self._path}/new" if context.may(f"{name}.create", writes=True) else "",
            create_text=gettext("New {record}", record=context.singular_of(kind)),
            search_hint=self._search_hint(),
            q=self._chosen.q,
            mine=self._mine(),
            closing=self._closing() if self._dated else None,
            owner=await self._owner_filter(),
            filtered=bool(self._sent),
            notice=gettext(
                "Only the {n} matches changed last are searched. Type more to narrow.",
                n=context.formats.number(MOST_FOUND),
            )
            if found.cut
            else "",
            may_move=self._may_move,
            lanes=tuple(lanes),
        )

    def _open(self, row: Row) -> bool:
        return self._sales is None or self._sales.is_open(row)

    async def _lane(self, value: str, title: str, found: BoardRows, shown: list[Row], marks: dict[str, Mark]) -> Lane:
        rows, context = found.lanes[value], self._context
        ends = bool(self._sales and self._type.PIPELINE and value in self._type.PIPELINE.won + self._type.PIPELINE.lost)
        more = text = ""
        number, month = context.formats.number, context.formats.month(context.formats.now.date())
        if ends and found.ended.get(value, 0) > len(shown):
            more, text = (
                self._listed(value),
                gettext("Show all {n} in {lane}", n=number(found.ended[value]), lane=title),
            )
        elif len(rows) > _MOST_SHOWN:
            more, text = self._listed(value), gettext("Show all {n} in the list", n=number(len(rows)))
        if len(rows) > len(shown) and value != self._all:
            more = self._here(all=value) + f"#lane-{value}"
            text = gettext("Show {n} more", n=number(min(len(rows), _MOST_SHOWN) - len(shown)))
        cards = list[Card]()
        for row in shown:
            html = await self._card(row, title, found.decided.get(row.id), marks.get(row.id))
            cards.append(Card(row.id, f"{self._path}/{row.id}", row.name, row.revision, html))
            await self._turn.pause()
        return Lane(
            value=value,
            title=gettext("{lane}, {month}", lane=title, month=month) if ends else title,
            name=title,
            count=number(len(rows)),
            sums=self._amounts.texts(await self._amounts.sums(rows)),
            cards=tuple(cards),
            more=more,
            more_text=text,
        )

    async def _card(self, row: Row, lane: str, decided: date | None, mark: Mark | None) -> Markup:
        context = self._context
        about = ""
        for reference in self._type.REFERENCES:
            value = self._value(reference.member)(row)
            if value and not about:
                about = await self._cells.name_of(reference.record_type, value) or ""
        owner = self._value(self._owner)(row)
        amount = self._amounts.of(row)
        html: Markup = context.site.renderer.boards.card(
            f"{self._path}/{row.id}",
            row.name,
            about=about,
            sum="" if amount is None else self._amounts.money(amount, self._amounts.currency(row)),
            day=self._day(row, lane, decided),
            person=await context.names.colleague(owner) if owner else "",
            mark=mark,
            may_move=self._may_move,
        )
        return html

    def _day(self, row: Row, lane: str, decided: date | None) -> str:
        """When a sale closes, or was won or lost, in words; else the date that its type shows."""
        formats = self._context.formats
        if decided is not None:
            if decided == formats.now.date():
                return gettext("{lane} today", lane=lane)
            return f"{lane} {formats.day(decided).short}"
        if self._sales is not None and (closes_on := self._sales.closes_on(row)):
            day = formats.day(closes_on).short
            late = closes_on < formats.now.date().isoformat()
            return gettext("Was to close {day}", day=day) if late else gettext("Closes {day}", day=day)
        dated = day_member(self._type)
        value = self._value(dated.name)(row) if dated else None
        return f"{member_label(dated)} {formats.day(value).short}" if dated and value else ""

    def _here(self, **changes: str | None) -> str:
        """The address of this board with some parameters changed, None takes one away."""
        found = {name: value for name, value in {**self._sent, **changes}.items() if value is not None}
        return with_query(f"{self._path}/board", found)

    def _listed(self, lane: str) -> str:
        """The list of a lane's records, with the filters that it knows."""
        owner = {self._owner: self._chosen.owner} if self._owner and self._chosen.owner else {}
        return f"{self._path}?{urlencode({'view': 'list', self._member.name: lane, **owner})}"

    def _closing(self) -> Mine:
        on = self._chosen.closing
        return Mine(self._here(closing=None if on else "month"), on)

    def _mine(self) -> Mine | None:
        email = self._context.caller.email
        if not self._owner or not email:
            return None
        on = is_of(self._chosen.owner or None, email)
        return Mine(self._here(**{self._owner: None if on else email}), on)

    async def _owner_filter(self) -> Filter | None:
        if not self._owner:
            return None
        member, email = self._type.member(self._owner), self._chosen.owner
        shown = await self._context.names.colleague(email) if email else ""
        return Filter(member.name, member_label(member), email, picked=True, shown=shown)

    def _search_hint(self) -> str:
        """The names that a search looks in: those of the type's records, and of what they refer to."""
        types = self._context.services.registry.record_types
        others = [types[one.record_type] for one in self._type.REFERENCES if one.record_type in types]
        names = dict.fromkeys(self._context.singular_of(one) for one in (self._type, *others))
        return as_alternatives(list(names))

"""The list of a record type: search, filters, sort, columns and paging, all of them in the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from markupsafe import Markup, escape

from crm_core.language import gettext
from crm_core.model.list_views import ListChoices
from crm_core.model.text_types import plain_integer
from crm_core.model.times import from_input
from crm_core.plugin.record_type import RecordType
from crm_core.records.export import as_csv
from crm_core.records.reading import Listing
from crm_core.web.answers import CSV, Answer, streamed
from crm_core.web.compression import compressed
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.frame import PageFrame, PageParts, icon_of, title_of
from crm_core.web.pages.layout.labels import as_phrase
from crm_core.web.pages.layout.parts import PageLinks, with_query
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.layout.rights import action_label
from crm_core.web.pages.page_answers import page, page_of_parts, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.boards import board
from crm_core.web.pages.records.cells import CellRenderer, is_picked
from crm_core.web.pages.records.list_columns import COLUMNS, own_columns
from crm_core.web.pages.records.list_head import ListState, head_of
from crm_core.web.pages.records.list_view import ListParts, ListPlace
from crm_core.web.pages.records.picking import TEXT, resolved, shown_value
from crm_core.web.pages.records.queries import access_of, full_text, list_parameters, record_type_of
from crm_core.web.pages.records.row_cache import Rows
from crm_core.web.pages.records.views import address_of, counts_of, in_address, open_ones

LIMIT: Final = 25
_TRAIL: Final = 6  # pages to go back
_SINCE: Final = "updated_since"


async def listed(context: PageContext, module: str) -> Response:
    """The page of a module: its board or list of records, or what the module is if it has none."""
    record_type = context.services.registry.record_types.get(module)
    if record_type is None:
        return await _module_page(context, module)
    sent = request.args.to_dict()
    if any(name.endswith(TEXT) for name in sent):
        picks = await resolved(context, record_type, request.args)
        unmatched = {name: typed for name, typed in picks.texts.items() if not picks.questions[name]}
        return redirect(context, with_query(f"/{module}", picks.address | unmatched))
    if record_type.LANES and sent.get("view") != "list" and not sent.keys() - {"q"}:
        return await board(context, module)
    choices = await context.services.records.list_views.of(context.tenant, context.caller, module)
    return await _List(context, record_type, choices, sent).page()


async def _module_page(context: PageContext, module: str) -> Response:
    state = context.workspace.modules.states[module]
    rights = [action_label(key) for key in state.module.features if key in context.keys]
    view = PageView(
        "module.html", module=module, title=title_of(state), icon=icon_of(state), rights=as_phrase(rights, str.lower)
    )
    return await page(context, module, view)


async def exported(context: PageContext, module: str) -> Answer:
    """The whole selection as CSV, streamed."""
    access = access_of(context, record_type_of(context, module).NAME)
    services, parameters = context.services, list_parameters(access.shape, request.args)
    pages = await services.records.reads.export(access, parameters, services.callers.current)
    named = {"Content-Disposition": f'attachment; filename="{module}.csv"'}
    return await compressed(request.sent, streamed(as_csv(access.shape, pages, bom=True), CSV, named))


class _List:
    def __init__(
        self, context: PageContext, record_type: RecordType, choices: ListChoices, sent: Mapping[str, str]
    ) -> None:
        self._context = context
        self._sent = sent
        self._type = record_type
        self._choices = choices
        self._access = access_of(context, record_type.NAME)
        self._parameters = in_address(context, record_type, sent)
        if not self._parameters and sent.get("view") != "list":
            self._parameters = open_ones(record_type)
        archived = self._parameters.get("archived") == "true"
        usual = record_type.DUE.day if record_type.DUE and not archived else "-updated_at"
        self._sort = self._parameters.get("sort", usual)
        self._may_change = not archived and context.may(f"{record_type.NAME}.update", writes=True)
        self._cells = CellRenderer(context, record_type, ticks=self._may_change)
        named = self._parameters.get(COLUMNS)
        self._columns = tuple(named.split(",")) if named else choices.columns or own_columns(record_type)

    async def page(self) -> Response:
        """The page of the list."""
        context, name = self._context, self._type.NAME
        listing, at = await self._page()
        state = await self._state(listing)
        renderer = Rows(self._cells, self._columns, selects=state.selects)
        rows = [await renderer.html(document) for document in listing.documents]
        parts = context.site.fragments.get(context.workspace, ListParts, (name, *state.key), lambda: self._parts(state))
        total = context.formats.number(state.total)
        shown = gettext("{first} to {last} of {total}", first=at + 1, last=at + len(rows), total=total)
        pager, address = self._place(listing, at)
        content = parts.around(rows, shown, pager, address) if rows else parts.around((), "", "", address)
        return await page_of_parts(context, name, PageParts(parts.title, parts.main, content))

    async def _state(self, listing: Listing) -> ListState:
        """All that the head of the list depends on."""
        context, kind = self._context, self._type
        return ListState(
            parameters=self._parameters,
            sort=self._sort,
            columns=self._columns,
            shown={one: await self._shown(one) for one in self._parameters if one in (*kind.FILTERABLE, _SINCE)},
            me=context.caller.email if kind.OWNER in kind.FILTERABLE else "",
            choices=self._choices,
            counts=await counts_of(context, kind, self._choices),
            total=listing.total or 0,
            filled=bool(listing.documents),
            may_change=self._may_change,
            may_archive=context.may(f"{kind.NAME}.delete", writes=True),
            may_create=context.may(f"{kind.NAME}.create", writes=True),
            may_export=context.may(f"{kind.NAME}.export"),
            full=await full_text(context, kind),
        )

    async def _shown(self, name: str) -> str:
        """The value of a filter as readers know it: a name for a record or colleague, a time as it is called now."""
        value = self._parameters[name]
        if name == _SINCE:
            return self._context.formats.moment(from_input(value)).short
        member = self._type.member(name)
        return await shown_value(self._cells, member, value) if is_picked(member) else value

    def _parts(self, state: ListState) -> ListParts:
        head = head_of(self._context, self._access.shape, state, self._here)
        frame = PageFrame(self._context.root, None)
        return ListParts(*map(Markup, self._context.site.renderer.cut(head.template, frame=frame, view=head.values)))

    def _place(self, listing: Listing, at: int) -> ListPlace:
        """The links and the address of this part of the list."""
        context = self._context

        def made() -> ListPlace:
            pager = context.site.renderer.parts.pager(self._paging(listing, at))
            return ListPlace(pager, escape(request.full_path.rstrip("?") if following else self._here()))

        following = request.query_string if self._sent.get("cursor") else b""
        key = (self._type.NAME, tuple(self._parameters.items()), following, listing.next_cursor)
        return context.site.fragments.get(context.workspace, ListPlace, key, made)

    async def _page(self) -> tuple[Listing, int]:
        parameters = {name: value for name, value in self._parameters.items() if name != COLUMNS}
        parameters |= {"sort": self._sort, "limit": str(LIMIT), "total": "true"}
        if cursor := self._sent.get("cursor"):
            parameters["cursor"] = cursor
        at = plain_integer(self._sent.get("at", ""), least=0, most=10**8) if cursor else None
        listing = await self._context.services.records.reads.list(self._access, parameters)
        return listing, at or 0

    def _here(self, **changes: str | None) -> str:
        """The address of this list with some parameters changed, from its first page."""
        found = {**self._parameters, **changes}
        named = {name: value for name, value in found.items() if value is not None}
        return address_of(self._context, self._type, named)

    def _paging(self, listing: Listing, at: int) -> PageLinks:
        cursor = self._sent.get("cursor")
        trail = [one for one in self._sent.get("trail", "").split("~") if one and cursor]  # the first part has none
        following = previous = ""
        if listing.next_cursor is not None:
            behind = "~".join([*trail, *([cursor] if cursor else [])][-_TRAIL:])
            following = self._here(cursor=listing.next_cursor, trail=behind or None, at=str(at + LIMIT))
        if cursor and trail:
            rest = "~".join(trail[:-1]) or None
            previous = self._here(cursor=trail[-1], trail=rest, at=str(max(0, at - LIMIT)))
        elif cursor:
            previous = self._here()
        return PageLinks(previous=previous, next=following)

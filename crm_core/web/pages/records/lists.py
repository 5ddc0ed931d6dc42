"""The list of a record type: search, filters, sort and paging, all of them in the address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlencode

from markupsafe import Markup
from quart import Response, request

from crm_core.model.text_types import plain_integer
from crm_core.plugin.record_type import ALWAYS_SORTABLE, RecordType
from crm_core.records.export import as_csv
from crm_core.records.reading import Listing
from crm_core.web.answers import CSV, streamed
from crm_core.web.compression import compressed
from crm_core.web.framework import current_request, response_of
from crm_core.web.pages.layout.frame import icon_of
from crm_core.web.pages.layout.parts import Option, PageLinks
from crm_core.web.pages.page_answers import page, redirect
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.bulk_acts import settable
from crm_core.web.pages.records.cells import CORE_LABELS, CellRenderer, is_picked
from crm_core.web.pages.records.list_filters import chips_of, filters_of, tabs_of
from crm_core.web.pages.records.list_view import BulkBar, Column, ListHead, ListParts, ListView
from crm_core.web.pages.records.modules import module_page
from crm_core.web.pages.records.picking import TEXT, resolved, shown_value
from crm_core.web.pages.records.queries import access_of, counted, list_parameters, record_type_of
from crm_core.web.pages.records.row_cache import row_html

LIMIT: Final = 25
_TRAIL: Final = 6  # pages to go back
_NARROW: Final[Mapping[str, str]] = {
    "choice": "",
    "flag": "p1",
    "decimal": "r p1",
    "integer": "r p1",
    "number": "r p1",
    "date": "p1 nowrap",
    "reference": "p1",
    "email": "p3 mail-cell cut muted",
    "phone": "p4 nowrap",
    "texts": "p4",
}
"""CSS classes of columns by the kind of member: on narrow screens p4 is hidden first, p1 last."""


async def listed(context: PageContext, module: str) -> Response:
    """The page of a module: its records, or what the module is if it has none."""
    record_type = context.services.registry.record_types.get(module)
    if record_type is None:
        return await module_page(context, module)
    if any(name.endswith(TEXT) for name in request.args):
        return redirect(context, await _chosen(context, record_type))
    if record_type.LANES and request.args.get("view") != "list" and not set(request.args) - {"q"}:
        return redirect(context, f"/{module}/board" + (f"?{urlencode(request.args)}" if request.args else ""))
    return await page(context, "records.html", module, await _List(context, record_type).view())


async def _chosen(context: PageContext, record_type: RecordType) -> str:
    """The address of the list with the values of its pickers; a text that finds nothing stays a text."""
    picks = await resolved(context, record_type, request.args)
    found = {name: value for name, value in picks.form.items() if not name.endswith(TEXT) and value != ""}
    for name, typed in picks.texts.items():
        found[name] = next((option.value for option in picks.questions[name]), typed)
    return f"/{record_type.NAME}?{urlencode(found)}" if found else f"/{record_type.NAME}"


async def exported(context: PageContext, module: str) -> Response:
    """The whole selection as CSV, streamed."""
    access = access_of(context, record_type_of(context, module).NAME)
    pages = await context.services.records.reads.export(access, list_parameters(access.shape, request.args))
    named = {"Content-Disposition": f'attachment; filename="{module}.csv"'}
    return response_of(await compressed(current_request(), streamed(as_csv(access.shape, pages), CSV, named)))


class _List:
    def __init__(self, context: PageContext, record_type: RecordType) -> None:
        self._context = context
        self._type = record_type
        self._name = record_type.NAME
        self._path = f"{context.root}/{self._name}"
        self._access = access_of(context, self._name)
        self._parameters = list_parameters(self._access.shape, request.args)
        self._sort = self._parameters.get("sort", "-updated_at")
        self._cells = CellRenderer(context, record_type)
        self._columns = self._members()
        classes = ((name, self._css(name)) for name in self._columns)
        self._row_columns = tuple(
            (name, context.site.renderer.parts.cell(css), "p1" in css.split()) for name, css in classes
        )

    async def view(self) -> ListView:
        context, name = self._context, self._name
        listing, at = await self._page()
        bulk = self._bulk()
        rows = [
            await row_html(self._cells, self._row_columns, document, selects=bulk is not None)
            for document in listing.documents
        ]
        may_create, may_export = context.may(f"{name}.create", writes=True), context.may(f"{name}.export")
        total = listing.total or 0
        shown = {one: await self._shown(one) for one in self._parameters if one in self._type.FILTERABLE}
        parts = context.site.fragments.get(
            context.workspace,
            ListParts,
            (
                name,
                tuple(self._parameters.items()),
                tuple(shown.items()),
                self._mine,
                may_create,
                may_export,
                bulk,
                total,
            ),
            lambda: self._parts(total, shown, bulk, may_create=may_create, may_export=may_export),
        )
        return ListView(
            module=name,
            title=context.title_of(self._type),
            parts=parts,
            rows=Markup("\n".join(rows)),  # noqa: S704 -- each row is Markup already
            range=f"{at + 1} to {at + len(rows)} of {context.formats.number(total)}" if rows else "",
            paging=self._paging(listing, at),
            query=None if bulk is None else urlencode(self._parameters),
            bulk="" if bulk is None else bulk.path,
            total=total,
            matches=counted(context, self._type, total),
        )

    def _bulk(self) -> BulkBar | None:
        """What the user may do with selected records; None if nothing."""
        context, name = self._context, self._name
        archived = self._parameters.get("archived") == "true"
        may_update = not archived and context.may(f"{name}.update", writes=True)
        may_delete = context.may(f"{name}.delete", writes=True)
        if not may_update and not may_delete:
            return None
        acts = [Option(member.name, member.label) for member in settable(self._type)] if may_update else []
        return BulkBar(
            path=f"{self._path}/bulk",
            one=self._type.SINGULAR.lower(),
            many=context.title_of(self._type).lower(),
            acts=tuple(acts),
            archive=may_delete and not archived,
            restore=may_delete and archived,
        )

    @property
    def _mine(self) -> str:
        """The owner of the records that are this user's; empty if the type has no owner to filter by."""
        return self._context.caller.email if self._type.OWNER in self._type.FILTERABLE else ""

    async def _shown(self, name: str) -> str:
        """The value of a filter as readers know it: a name for a record or colleague."""
        member, value = self._type.member(name), self._parameters[name]
        return await shown_value(self._cells, member, value) if is_picked(member) else value

    def _parts(
        self, total: int, shown: Mapping[str, str], bulk: BulkBar | None, *, may_create: bool, may_export: bool
    ) -> ListParts:
        head = self._head(total, shown, bulk, may_create=may_create, may_export=may_export)
        macros = self._context.site.renderer.lists
        bar = macros.bar(head) if bulk else Markup()
        return ListParts(macros.above(head), macros.head(head), macros.nothing(head), bar)

    def _head(
        self, count: int, shown: Mapping[str, str], bulk: BulkBar | None, *, may_create: bool, may_export: bool
    ) -> ListHead:
        context, kind = self._context, self._type
        title = context.title_of(kind)
        total, chips = (
            context.formats.number(count),
            tuple(chips_of(context, kind, self._parameters, shown, self._here)),
        )
        return ListHead(
            module=self._name,
            title=title,
            sub=self._subtitle(total, filtered=bool(chips)),
            icon=icon_of(context.workspace.modules.states[kind.module]),
            path=f"{self._path}?view=list" if kind.LANES else self._path,
            here=self._here(),
            board=f"{self._path}/board" if kind.LANES else "",
            export=f"{self._path}/export.csv?{urlencode(self._parameters)}" if may_export else "",
            create=f"{self._path}/new" if may_create else "",
            create_text=f"New {context.singular_of(kind)}",
            search_hint=self._search_hint(),
            q=self._parameters.get("q", ""),
            sort=self._parameters.get("sort", ""),
            tabs=tuple(tabs_of(kind, self._parameters, self._mine, self._here)),
            filters=tuple(filters_of(kind, self._parameters, shown)),
            chips=chips,
            matches=counted(context, kind, count) + (" matches" if count == 1 else " match"),
            caption=f"{title}, {self._order()}",
            columns=tuple(self._heads()),
            bulk=bulk,
            empty_title=f"No {title.lower()} match" if chips else f"No {title.lower()} yet",
            empty_text="Remove a filter or search for fewer words."
            if chips
            else self._empty_text(title, may=may_create),
        )

    async def _page(self) -> tuple[Listing, int]:
        parameters = {**self._parameters, "sort": self._sort, "limit": str(LIMIT), "total": "true"}
        if cursor := request.args.get("cursor"):
            parameters["cursor"] = cursor
        at = plain_integer(request.args.get("at", ""), least=0, most=10**8) if cursor else None
        listing = await self._context.services.records.reads.list(self._access, parameters)
        return listing, at or 0

    def _here(self, **changes: str | None) -> str:
        """The address of this list with some parameters changed, from its first page."""
        found = {**self._parameters, **changes}
        if self._type.LANES:
            found["view"] = "list"
        query = urlencode({name: value for name, value in found.items() if value is not None})
        return f"{self._path}?{query}" if query else self._path

    def _members(self) -> list[str]:
        """The columns of the type, without a currency that an amount shows anyway."""
        names = [name for name in self._type.COLUMNS if name != "name"]
        kinds = {member.name: member.kind for member in self._type.members}
        amounts = "decimal" in (kinds.get(name) for name in names)
        names = [name for name in names if not (amounts and kinds.get(name) == "currency")]
        return names if "updated_at" in names else [*names, "updated_at"]

    def _css(self, name: str) -> str:
        if name in CORE_LABELS:
            return "r p1 muted nowrap" if name.endswith("_at") else "p3"
        member = self._type.member(name)
        return "p2" if member.is_person else _NARROW.get(member.kind, "p2")

    def _heads(self) -> Iterator[Column]:
        sortable = {*self._access.shape.sortable, *ALWAYS_SORTABLE}
        for name in ("name", *self._columns):
            label = CORE_LABELS.get(name) or self._type.member(name).label
            css = "head-cell" if name == "name" else self._css(name).replace("muted", "").replace("cut", "").strip()
            if name not in sortable:
                yield Column(label, css)
                continue
            here = self._sort.removeprefix("-") == name
            down = here and self._sort.startswith("-")
            target = name if down or (not here and not name.endswith("_at")) else f"-{name}"
            yield Column(label, css, self._here(sort=target), ("descending" if down else "ascending") if here else "")

    def _paging(self, listing: Listing, at: int) -> PageLinks:
        cursor, trail = request.args.get("cursor"), [one for one in request.args.get("trail", "").split("~") if one]
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

    def _subtitle(self, total: str, *, filtered: bool) -> str:
        limit = self._context.workspace.entitlements.limits.get(self._name)
        plan = self._context.workspace.plan_name
        room = f" · {self._context.formats.number(limit)} in plan {plan}" if limit is not None else ""
        return f"{total} match{room}" if filtered else f"{total} in total{room}"

    def _search_hint(self) -> str:
        labels = [self._type.member(name).label.lower() for name in self._type.SEARCHED]
        if not labels:
            return ""
        return (", ".join(labels[:-1]) + " or " + labels[-1] if len(labels) > 1 else labels[0]).capitalize()

    def _order(self) -> str:
        name = self._sort.removeprefix("-")
        label = CORE_LABELS.get(name) or self._type.member(name).label
        return f"by {label.lower()}, {'descending' if self._sort.startswith('-') else 'ascending'}"

    def _empty_text(self, title: str, *, may: bool) -> str:
        if may:
            return f"Create the first one here, or let another system create {title.lower()} through the API."
        return f"You do not have permission to create {title.lower()}."

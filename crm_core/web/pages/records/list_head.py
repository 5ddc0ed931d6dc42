"""Around the rows of a list: its head, tabs, filters and texts, as a value that is rendered once for all who see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from crm_core.language import gettext, ngettext, noun
from crm_core.model.list_views import ListChoices
from crm_core.plugin.record_type import RecordType
from crm_core.records.shape import Shape
from crm_core.web.pages.layout.frame import icon_of
from crm_core.web.pages.layout.labels import as_alternatives, member_label, within_sentence
from crm_core.web.pages.layout.parts import Option
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.bulk_acts import settable
from crm_core.web.pages.records.list_columns import COLUMNS, column_label, heads_of, order_of, possible_columns
from crm_core.web.pages.records.list_filters import chips_of, filters_of
from crm_core.web.pages.records.list_view import BulkBar, ColumnChoice, Mine
from crm_core.web.pages.records.queries import counted
from crm_core.web.pages.records.views import address_of, current_view, names_the_list, open_ones, tabs_of


class ListState(msgspec.Struct, frozen=True, kw_only=True):
    """All that the head of a list depends on besides the workspace. ``shown``: values of filters as readers know them.

    ``parameters``: those of the address, columns included; ``choices``: the user's; ``counts``: of the tabs;
    ``filled``: it has rows; ``full``: why no more records can be created, empty if they can.
    """

    parameters: Mapping[str, str]
    sort: str
    columns: tuple[str, ...]
    shown: Mapping[str, str]
    me: str
    choices: ListChoices
    counts: tuple[str, ...]
    total: int
    filled: bool
    may_change: bool
    may_archive: bool
    may_create: bool
    may_export: bool
    full: str

    @property
    def selects(self) -> bool:
        """Whether there are acts for selected records."""
        return self.may_change or self.may_archive

    @property
    def key(self) -> tuple[object, ...]:
        """The same as one hashable value."""
        rest = (getattr(self, name) for name in self.__struct_fields__ if name not in ("parameters", "shown"))
        return (tuple(self.parameters.items()), tuple(self.shown.items()), *rest)


def head_of(context: PageContext, shape: Shape, state: ListState, here: Callable[..., str]) -> PageView:
    """The head of a list; ``here``: its address with some parameters changed, None takes one away."""
    kind, path, title = shape.record_type, f"{context.root}/{shape.name}", context.title_of(shape.record_type)
    filters = {name: value for name, value in state.parameters.items() if name != COLUMNS}
    undone = open_ones(kind)
    only_open = bool(undone) and undone.items() <= filters.items()
    view = current_view(context, kind, state.parameters, state.choices)
    savable = bool(state.parameters.items() - undone.items() - {("archived", "true")}) and view is None
    chosen = {name: value for name, value in filters.items() if not (only_open and name in undone)}  # a tab says those
    chips = tuple(chips_of(kind, chosen, state.shown, here))
    total, query = context.formats.number(state.total), state.parameters.get("q", "")
    archived, may_create = state.parameters.get("archived") == "true", state.may_create and not state.full
    return PageView(
        "records.html",
        module=shape.name,
        title=title,
        sub=_subtitle(context, kind, state.counts[0]),
        icon=icon_of(context.workspace.modules.states[kind.module]),
        base=path,
        query=urlencode(state.parameters),  # the selection that the forms send
        path=address_of(context, kind, undone if only_open else {}),  # without filters
        named=names_the_list(kind),
        here=here(),
        board=f"{path}/board" if kind.LANES else "",
        export=f"{path}/export.csv?{urlencode(filters)}" if state.may_export and state.total else "",
        export_text=gettext("Export {total} as CSV", total=total) if chips else gettext("Export CSV"),
        create=f"{path}/new" if may_create else "",
        import_file=f"{path}/import" if may_create else "",
        create_text=gettext("New {record}", record=context.singular_of(kind)),
        full=state.full if state.may_create else "",
        search_hint=as_alternatives([within_sentence(kind.member(name)) for name in kind.SEARCHED]),
        q=query,
        archived=archived,
        sort=state.parameters.get("sort", ""),
        sorts=tuple(_sorts(shape)),
        column_names=state.parameters.get(COLUMNS, ""),
        tabs=tuple(tabs_of(context, kind, state.parameters, state.choices, state.counts)),
        mine=_mine(kind, state, here),
        filters=tuple(filters_of(kind, state.parameters, state.shown)),
        chips=chips,
        active=sum(1 for chip in chips if chip.has_field),
        savable=savable,
        view=view.name if view else "",  # the saved one that it shows
        total=state.total,
        matches=_matches(context, kind, state.total),
        matching=counted(context, kind, state.total),
        caption=f"{title}, {order_of(kind, state.sort)}",
        columns=tuple(heads_of(shape, state.columns, state.sort, here)),
        choices=tuple(_choices(kind, state.columns)),
        filled=state.filled,
        bulk=_bar_of(context, kind, state, archived=archived),
        empty_title=_empty_title(title, query, filtered=bool(chips), archived=archived, only_open=only_open),
        empty_text=_empty_text(
            title, filtered=bool(chips), archived=archived, only_open=only_open, may=state.may_create
        ),
        create_named=f"{path}/new?{urlencode({'name': query})}" if query and may_create and not archived else "",
    )


def _bar_of(context: PageContext, record_type: RecordType, state: ListState, *, archived: bool) -> BulkBar | None:
    """The acts that the user may do with selected records; None if there are none."""
    if not state.selects:
        return None
    acts = [Option(member.name, member_label(member)) for member in settable(record_type)] if state.may_change else []
    return BulkBar(
        path=f"{context.root}/{record_type.NAME}/bulk",
        one=context.singular_of(record_type),
        many=noun(context.title_of(record_type)),
        acts=tuple(acts),
        archive=state.may_archive and not archived,
        restore=state.may_archive and archived,
    )


def _choices(record_type: RecordType, columns: Sequence[str]) -> Iterator[ColumnChoice]:
    """The chosen columns in their order, then the others."""
    for name in (*columns, *(one for one in possible_columns(record_type) if one not in columns)):
        yield ColumnChoice(name, column_label(record_type, name), name in columns)


def _mine(record_type: RecordType, state: ListState, here: Callable[..., str]) -> Mine | None:
    owner = record_type.OWNER
    if owner is None or not state.me:
        return None
    chosen = state.parameters.get(owner) == state.me
    return Mine(here(**{owner: None if chosen else state.me}), chosen)


def _sorts(shape: Shape) -> Sequence[Option]:
    """The orders for narrow screens, which have no head of the table."""
    newest, due = gettext("Newest change first"), shape.record_type.DUE
    found = [Option("", newest)]
    if due:
        first = gettext("{label}, ascending", label=column_label(shape.record_type, due.day))
        found = [Option("", first), Option("-updated_at", newest)]
    found += [Option("-created_at", gettext("Newest first"))]
    for name in shape.record_type.SORTABLE:
        label = column_label(shape.record_type, name)
        found += [Option(name, gettext("{label}, ascending", label=label))]
        found += [Option(f"-{name}", gettext("{label}, descending", label=label))]
    return found


def _subtitle(context: PageContext, record_type: RecordType, total: str) -> str:
    """How many records there are, those that filters hide included."""
    limit = context.workspace.entitlements.limits.get(record_type.NAME)
    if limit is None:
        return gettext("{total} in total", total=total)
    return gettext("{total} of {limit} included in your plan", total=total, limit=context.formats.number(limit))


def _matches(context: PageContext, record_type: RecordType, total: int) -> str:
    if not total:
        return gettext("No {record} matches", record=noun(context.singular_of(record_type)))
    records = counted(context, record_type, total)
    return ngettext("{records} matches", "{records} match", total, records=records)


def _empty_title(title: str, query: str, *, filtered: bool, archived: bool, only_open: bool) -> str:
    if query:
        return gettext("No {records} match “{query}”", records=noun(title), query=query)
    if filtered:
        return gettext("No {records} match", records=noun(title))
    if archived:
        return gettext("No {records} are archived", records=noun(title))
    if only_open:
        return gettext("No open {records}", records=noun(title))
    return gettext("No {records} yet", records=noun(title))


def _empty_text(title: str, *, filtered: bool, archived: bool, only_open: bool, may: bool) -> str:
    if filtered:
        return gettext("Remove a filter or search for fewer words.")
    if archived:
        return gettext("Archived records appear here. Their pages restore them.")
    if only_open:
        return gettext("Those that are done appear under All.")
    if may:
        return gettext(
            "{records} come from a CSV file or from another system, or you add them yourself.", records=title
        )
    return gettext("You do not have permission to create {records}.", records=noun(title))

"""The first page: what is due today, my open sales, what was won this month, recent changes, the last sync."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from crm_core.language import gettext, gettext_noop, localized
from crm_core.model.turns import Turn
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.browser import Response
from crm_core.web.pages.home.my_sales import Meter, SalesDay, meters_of
from crm_core.web.pages.home.recent import recent_of
from crm_core.web.pages.home.tasks import MyTasks, due_text, task_members
from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.layout.labels import within_sentence
from crm_core.web.pages.layout.parts import Mark, PageLink
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import TypeRows
from crm_core.web.pages.sync.findings import first_sentence
from crm_core.web.pages.sync.names import section_label
from crm_core.web.pages.sync.outcomes import STATES, refused_last

_DOUBTFUL: Final = Mark("warn", "alert", gettext_noop("please check"))


class BoardGlance(msgspec.Struct, frozen=True):
    """A board at a glance."""

    title: str
    member: str
    href: str
    lanes: tuple[Meter, ...]


class SyncSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The state of sync with the last applied push, as ``Branding version 7``; ``cause``: why it needs attention."""

    mark: Mark
    cause: str
    push: str
    at: Moment | None
    href: str


async def dashboard(context: PageContext) -> Response:
    """The first page after signing in."""
    types, turn = list(_visible(context)), Turn()
    name = (context.caller.name.partition("@")[0].split() or [context.caller.name])[0]
    tasks = tuple(
        [await MyTasks(context, one, members).view() for one in types if (members := task_members(one)) is not None]
    )
    late, due = sum(one.late for one in tasks), sum(one.due for one in tasks)
    today = context.formats.full_day(context.formats.now.date())
    await turn.pause()
    sales = tuple([await SalesDay(context, one, one.PIPELINE).view() for one in types if one.PIPELINE and one.OWNER])
    await turn.pause()
    boards = tuple([await _glance(context, one, one.LANES) for one in types if one.LANES and not one.PIPELINE])
    await turn.pause()
    recent = await recent_of(context, types)
    await turn.pause()
    view = PageView(
        "dashboard.html",
        greeting=f"{context.formats.greeting()}, {name}",
        today=" · ".join((today, due_text(context, late, due)) if tasks else (today,)),
        creates=tuple(_creates(context, types))[:2],
        to_do=late + due,
        late=late,
        tasks=tasks,
        sales=sales,
        boards=boards,
        reports=f"{context.root}/reports" if context.may("reports.view") else "",
        sync=await _last_sync(context) if "sync.view" in context.keys else None,
        recent=recent,
    )
    return await page(context, "dashboard", view)


def _visible(context: PageContext) -> Iterator[RecordType]:
    """The record types that the user may view, in the order of the menu."""
    types = context.services.registry.record_types
    for name in context.workspace.modules.states:
        if name in types and context.may(f"{name}.view"):
            yield types[name]


def _creates(context: PageContext, types: list[RecordType]) -> Iterator[PageLink]:
    for one in types:
        if context.may(f"{one.NAME}.create", writes=True):
            yield PageLink(f"{context.root}/{one.NAME}/new", gettext("New {record}", record=context.singular_of(one)))


async def _glance(context: PageContext, record_type: RecordType, lanes: str) -> BoardGlance:
    meters = await meters_of(context, record_type, lanes, await TypeRows(context, record_type).all())
    title, href = context.title_of(record_type), f"{context.root}/{record_type.NAME}/board"
    return BoardGlance(title, within_sentence(record_type.member(lanes)), href, meters)


async def _last_sync(context: PageContext) -> SyncSummary:
    last, health = context.workspace.last_accepted, await context.services.health.report(context.tenant)
    status = health["status"]
    reasons = [first_sentence(localized(reason)) for reason in health["reasons"]]
    doubtful = reasons or refused_last(health)
    push = ""
    if last is not None:
        push = gettext("{push} version {version}", push=section_label(last.payload_type), version=last.version)
    return SyncSummary(
        mark=(_DOUBTFUL if status == "ok" and doubtful else STATES[status]).translated,
        cause=next(iter(reasons), "") if status in ("degraded", "stale") else "",
        push=push,
        at=None if last is None else context.formats.within(last.at),
        href=f"{context.root}/sync",
    )

"""The first page: counts, my tasks, boards at a glance, recent changes, the last sync."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, Final

import msgspec
from quart import Response

from crm_core.model.times import to_wire
from crm_core.plugin.record_type import RecordType
from crm_core.records.figures import Row
from crm_core.web.pages.figures.amounts import Amounts
from crm_core.web.pages.home.tasks import TaskList, task_members, tasks_of
from crm_core.web.pages.layout.formats import Moment
from crm_core.web.pages.layout.parts import Fact, Mark, PageLink
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.cells import CellRenderer
from crm_core.web.pages.records.queries import access_of, records_of

_RECENT: Final = 6


class Count(msgspec.Struct, frozen=True):
    """How many records of a type there are."""

    title: str
    value: str
    note: str
    href: str


class LaneMeter(msgspec.Struct, frozen=True):
    """A lane at a glance; ``share`` is the percentage of the fullest lane."""

    title: str
    count: str
    sum: str
    share: int


class BoardGlance(msgspec.Struct, frozen=True):
    """A board at a glance."""

    title: str
    member: str
    href: str
    lanes: tuple[LaneMeter, ...]


class RecentChange(msgspec.Struct, frozen=True):
    """A record that was created or changed."""

    who: str
    verb: str
    href: str
    name: str
    about: str
    at: Moment | None


class LastSyncCard(msgspec.Struct, frozen=True, kw_only=True):
    """The last applied push, in a sentence and facts."""

    sentence: str
    at: Moment | None
    mark: Mark | None
    facts: tuple[Fact, ...]
    href: str


class DashboardView(msgspec.Struct, frozen=True, kw_only=True):
    """The dashboard for its page."""

    greeting: str
    today: str
    creates: tuple[PageLink, ...]
    counts: tuple[Count, ...]
    tasks: tuple[TaskList, ...]
    boards: tuple[BoardGlance, ...]
    sync: LastSyncCard
    recent: tuple[RecentChange, ...]


async def dashboard(context: PageContext) -> Response:
    """The first page after signing in."""
    types = list(_visible(context))
    name = context.caller.name.split("@")[0].split()[0]
    view = DashboardView(
        greeting=f"{context.formats.greeting()}, {name}",
        today=context.formats.today(),
        creates=tuple(_creates(context, types))[:2],
        counts=tuple([await _count(context, one) for one in types]),
        tasks=tuple([await tasks_of(context, one) for one in types if task_members(one)]),
        boards=tuple([await _glance(context, one, one.LANES) for one in types if one.LANES]),
        sync=await _last_sync(context),
        recent=tuple([change async for change in _recent(context, types)]),
    )
    return await page(context, "dashboard.html", "dashboard", view)


def _visible(context: PageContext) -> Iterator[RecordType]:
    """The record types that the user may view, in the order of the menu."""
    types = context.services.registry.record_types
    for name in context.workspace.modules.states:
        if name in types and context.may(f"{name}.view"):
            yield types[name]


def _creates(context: PageContext, types: list[RecordType]) -> Iterator[PageLink]:
    for one in types:
        if context.may(f"{one.NAME}.create", writes=True):
            yield PageLink(f"{context.root}/{one.NAME}/new", f"New {context.singular_of(one)}")


async def _count(context: PageContext, record_type: RecordType) -> Count:
    count, week_ago = {"limit": "1", "total": "true"}, to_wire(context.services.now() - timedelta(days=7))
    _, total = await records_of(context, record_type.NAME, count)
    _, changed = await records_of(context, record_type.NAME, {**count, "updated_since": week_ago})
    return Count(
        context.title_of(record_type),
        context.formats.number(total),
        f"{context.formats.number(changed)} changed in the last 7 days",
        f"{context.root}/{record_type.NAME}",
    )


async def _glance(context: PageContext, record_type: RecordType, lanes: str) -> BoardGlance:
    member, amounts = record_type.member(lanes), Amounts(context, record_type)
    access = access_of(context, record_type.NAME)
    lane_of = context.services.records.figures.type_of(access.shape).value(lanes)
    found: dict[str, list[Row]] = {value: [] for value, _ in member.choices}
    for row in await context.services.records.figures.rows(access):
        found.get(lane_of(row), []).append(row)
    most = max(map(len, found.values()), default=0) or 1
    meters = tuple(
        LaneMeter(
            title,
            context.formats.number(len(found[value])),
            " + ".join(amounts.texts(amounts.sums(found[value]))),
            round(100 * len(found[value]) / most),
        )
        for value, title in member.choices
    )
    title = context.title_of(record_type)
    return BoardGlance(title, member.label.lower(), f"{context.root}/{record_type.NAME}/board", meters)


async def _recent(context: PageContext, types: list[RecordType]) -> AsyncIterator[RecentChange]:
    found: list[tuple[RecordType, dict[str, Any]]] = []
    for one in types:
        records, _ = await records_of(context, one.NAME, {"limit": str(_RECENT), "sort": "-updated_at"})
        found += [(one, record) for record in records]
    found.sort(key=lambda pair: pair[1]["updated_at"], reverse=True)
    for record_type, record in found[:_RECENT]:
        who = await context.names.actor(record["updated_by"])
        href = f"{context.root}/{record_type.NAME}/{record['id']}"
        verb = "created" if record["revision"] == 1 else "changed"
        about = await _about(context, record_type, record)
        yield RecentChange(who, verb, href, record["name"], about, context.formats.moment(record["updated_at"]))


async def _about(context: PageContext, record_type: RecordType, record: dict[str, Any]) -> str:
    """The kind of record, and its state if it has one."""
    state = next((member.name for member in record_type.members if member.kind == "choice"), None)
    singular = context.singular_of(record_type)
    if state is None or record.get(state) is None:
        return singular
    return f"{singular}, {(await CellRenderer(context, record_type).cell(state, record)).text.lower()}"


async def _last_sync(context: PageContext) -> LastSyncCard:
    last = context.workspace.last_accepted
    href = f"{context.root}/sync" if "sync.view" in context.keys else ""
    if last is None:
        sentence = "Nothing has been synced yet. The workspace uses the default settings."
        return LastSyncCard(sentence=sentence, at=None, mark=None, facts=(), href=href)
    facts = [Fact("Revision", context.formats.number(last.revision)), Fact("Request", last.request_id, code=True)]
    if last.key_version is not None:
        facts.insert(1, Fact("Key", f"{context.tenant}:{last.key_version}", code=True))
    mark = None
    if href:
        health = await context.services.health.report(context.tenant)
        mark = SYNC_MARKS[health["status"]]
    name = last.payload_type.capitalize()
    return LastSyncCard(
        sentence=f"{name} version {last.version} was accepted",
        at=context.formats.moment(last.at),
        mark=mark,
        facts=tuple(facts),
        href=href,
    )


SYNC_MARKS: Final = {
    "ok": Mark("ok", "check", "Ok"),
    "degraded": Mark("bad", "alert", "Degraded"),
    "stale": Mark("warn", "clock", "Stale"),
    "disabled": Mark("idle", "pause", "Disabled"),
}

"""The first page: counts, what is mine to do, boards in a glance, recent changes, the last sync."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec
from quart import Response

from crm_core.model.times import told
from crm_core.plugin.record_type import RecordType
from crm_core.web.pages.boards import MOST_SUMMED, lane_of, sum_of
from crm_core.web.pages.details import Link
from crm_core.web.pages.formats import Moment
from crm_core.web.pages.shown import Mark, Shower
from crm_core.web.pages.todos import Todo, todo_members, todos_of
from crm_core.web.pages.visit import Visit

_RECENT: Final = 6


@dataclass(frozen=True, slots=True)
class Count:
    """How many records of a type there are."""

    title: str
    value: str
    note: str
    href: str


@dataclass(frozen=True, slots=True)
class LaneMeter:
    """A lane in a glance; ``share`` is of the fullest, in per cent."""

    title: str
    count: str
    sum: str
    share: int


@dataclass(frozen=True, slots=True)
class BoardGlance:
    """A board in a glance."""

    title: str
    member: str
    href: str
    lanes: tuple[LaneMeter, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A record that somebody wrote."""

    who: str
    verb: str
    href: str
    name: str
    about: str
    at: Moment | None


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact with its name; ``code``: shown as code."""

    name: str
    text: str
    code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSync:
    """What was applied last, in a sentence and facts."""

    sentence: str
    at: Moment | None
    mark: Mark | None
    facts: tuple[Fact, ...]
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardView:
    """The dashboard for its page."""

    greeting: str
    today: str
    creates: tuple[Link, ...]
    counts: tuple[Count, ...]
    todos: tuple[Todo, ...]
    boards: tuple[BoardGlance, ...]
    sync: LastSync
    recent: tuple[Change, ...]


async def dashboard(visit: Visit) -> Response:
    """The first page after signing in."""
    types = list(_visible(visit))
    name = visit.caller.name.split("@")[0].split()[0]
    view = DashboardView(
        greeting=f"{visit.formats.greeting()}, {name}",
        today=visit.formats.today(),
        creates=tuple(_creates(visit, types))[:2],
        counts=tuple([await _count(visit, one) for one in types]),
        todos=tuple([await todos_of(visit, one) for one in types if todo_members(one)]),
        boards=tuple([await _glance(visit, one, one.LANES) for one in types if one.LANES]),
        sync=await _last_sync(visit),
        recent=tuple([change async for change in _recent(visit, types)]),
    )
    return await visit.page("dashboard.html", "dashboard", view)


def _visible(visit: Visit) -> Iterator[RecordType]:
    """The record types that the user sees, in the order of the menu."""
    types = visit.services.registry.record_types
    for name in visit.workspace.modules.states:
        if name in types and visit.may(f"{name}.view"):
            yield types[name]


def _creates(visit: Visit, types: list[RecordType]) -> Iterator[Link]:
    for one in types:
        if visit.may(f"{one.NAME}.create", writes=True):
            yield Link(f"{visit.root}/{one.NAME}/new", f"New {one.SINGULAR.lower()}")


async def _count(visit: Visit, record_type: RecordType) -> Count:
    week_ago = told(visit.services.now() - timedelta(days=7))
    call = visit.services.records.call(visit.tenant, visit.caller, record_type.NAME)
    reads = visit.services.records.reads
    everything = await reads.list(call, {"limit": "1", "total": "true"})
    changed = await reads.list(call, {"limit": "1", "total": "true", "updated_since": week_ago})
    number = visit.look.manner.number
    return Count(
        visit.workspace.modules.states[record_type.NAME].title,
        number(everything.total or 0),
        f"{number(changed.total or 0)} changed in 7 days",
        f"{visit.root}/{record_type.NAME}",
    )


async def _glance(visit: Visit, record_type: RecordType, lanes: str) -> BoardGlance:
    member = record_type.member(lanes)
    found = [(title, *await lane_of(visit, record_type, lanes, value)) for value, title in member.choices]
    most = max((total for _, _, total in found), default=0) or 1
    meters = tuple(
        LaneMeter(
            title,
            visit.look.manner.number(total),
            sum_of(visit, record_type, records) if total <= MOST_SUMMED else "",
            round(100 * total / most),
        )
        for title, records, total in found
    )
    title = visit.workspace.modules.states[record_type.NAME].title
    return BoardGlance(title, member.label.lower(), f"{visit.root}/{record_type.NAME}/board", meters)


async def _recent(visit: Visit, types: list[RecordType]) -> AsyncIterator[Change]:
    found: list[tuple[RecordType, dict[str, Any]]] = []
    for one in types:
        call = visit.services.records.call(visit.tenant, visit.caller, one.NAME)
        listing = await visit.services.records.reads.list(call, {"limit": str(_RECENT), "sort": "-updated_at"})
        found += [(one, msgspec.json.decode(document.body)) for document in listing.documents]
    found.sort(key=lambda pair: pair[1]["updated_at"], reverse=True)
    for record_type, record in found[:_RECENT]:
        who = await visit.people.actor(record["updated_by"])
        href = f"{visit.root}/{record_type.NAME}/{record['id']}"
        verb = "created" if record["revision"] == 1 else "changed"
        about = await _about(visit, record_type, record)
        yield Change(who, verb, href, record["name"], about, visit.formats.moment(record["updated_at"]))


async def _about(visit: Visit, record_type: RecordType, record: dict[str, Any]) -> str:
    """What kind of record it is, and its state where it has one."""
    state = next((member.name for member in record_type.members if member.kind == "choice"), None)
    singular = record_type.SINGULAR.lower()
    if state is None or record.get(state) is None:
        return singular
    return f"{singular}, {(await Shower(visit, record_type).cell(state, record)).text.lower()}"


async def _last_sync(visit: Visit) -> LastSync:
    last = visit.workspace.last_applied
    href = f"{visit.root}/sync" if "sync.view" in visit.keys else ""
    if last is None:
        sentence = "The platform has not pushed anything yet; the workspace runs on this instance's own settings."
        return LastSync(sentence=sentence, at=None, mark=None, facts=(), href=href)
    facts = [Fact("Revision", visit.look.manner.number(last.revision)), Fact("Request", last.request_id, code=True)]
    if last.key_version is not None:
        facts.insert(1, Fact("Key", f"{visit.tenant}:{last.key_version}", code=True))
    mark = None
    if href:
        health = await visit.services.health.told(visit.tenant)
        mark = SYNC_MARKS[health["status"]]
    name = last.payload_type.capitalize()
    return LastSync(
        sentence=f"{name} version {last.version} was applied",
        at=visit.formats.moment(last.applied_at),
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

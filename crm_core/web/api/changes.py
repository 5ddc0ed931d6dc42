"""The route of the change feed."""

from __future__ import annotations

from typing import Final

import msgspec

from crm_core import errors
from crm_core.access.streams import Waiter
from crm_core.model.change_cursor import ChangeCursor
from crm_core.records.feed import MOST_ITEMS, ChangeItem, FeedQuery
from crm_core.services import Services
from crm_core.web.answers import Answer, Later, answer
from crm_core.web.api.parameters import whole
from crm_core.web.api.records_schemas import READ_ERRORS
from crm_core.web.operations import BASE, Operation, Parameter, Reply, Route
from crm_core.web.reading import whole_number
from crm_core.web.request import Request

MOST_SECONDS: Final = 30
_NO_CURSOR: Final = (
    "`after` is no cursor of the change feed. Send `next` of an answer, unchanged; leave `after` out to begin."
)


class ChangePage(msgspec.Struct, frozen=True):
    """Changes in commit order. ``next``: the cursor to continue with; ``types``: the record types that it covers."""

    items: list[ChangeItem]
    next: str
    more: bool
    types: list[str]


CHANGES: Final = Operation(
    method="GET",
    path=f"{BASE}/changes",
    name="list_changes",
    summary="Read what changed, in commit order",
    description="Continue with `next` as `after`: nothing is left out and nothing comes twice, across restarts too. "
    "Without `after` the answer is empty, and `next` is the present end of the feed: read that first, then the lists. "
    "A request that waits counts as an event stream.",
    tag="changes",
    scope="any",
    key="any",
    parameters=(
        Parameter(name="after", description="A cursor: `next` of the page before, or an event's `id`. None: from now."),
        Parameter(
            name="types",
            description="Record types, separated by commas; each of them viewable by the caller. None: all that are.",
        ),
        Parameter(
            name="limit", description=f"Items of a page; {MOST_ITEMS} unless given.", schema=whole(1, MOST_ITEMS)
        ),
        Parameter(
            name="wait", description="Seconds to wait for a first item if there is none.", schema=whole(0, MOST_SECONDS)
        ),
        Parameter(
            name="include",
            description="`record`: each item also has the record as it is now, null once erased.",
            schema={"type": "string", "enum": ["record"]},
        ),
    ),
    replies={200: Reply(description="A page of changes.", schema=ChangePage)},
    errors=(
        *READ_ERRORS,
        errors.InsufficientScope,
        errors.PermissionDenied,
        errors.InvalidCursor,
        errors.CursorExpired,
        errors.TooManyStreams,
    ),
)


def routes(services: Services) -> list[Route]:
    """The one operation of the change feed."""
    feed = services.records.feed

    async def changes(request: Request) -> Answer | Later:
        query, seconds = _query(services, request)
        if request.waiter is not None:
            return await _awaited(services, request, query, request.waiter)
        page = await feed.read(request.tenant, request.caller, query)
        if page.items or not seconds or request.method == "HEAD":
            return answer(page.body)
        waiter = await services.feeds.wait(request.tenant, request.caller, query.types, page.next, seconds)
        try:
            found = await _awaited(services, request, query, waiter)
        except BaseException:
            services.feeds.leave(waiter)
            raise
        if not isinstance(found, Later):
            services.feeds.leave(waiter)
        return found

    return [Route(CHANGES, changes)]


async def _awaited(services: Services, request: Request, query: FeedQuery, waiter: Waiter) -> Answer | Later:
    """The page once it has an item, the time is over or the server stops."""
    while True:
        query = msgspec.structs.replace(query, after=waiter.after)
        page = await services.records.feed.read(request.tenant, request.caller, query)
        if page.items or waiter.over:
            return answer(page.body)
        waiter.after = page.next
        if not page.more:
            return Later(waiter)


def _query(services: Services, request: Request) -> tuple[FeedQuery, int]:
    """The requested part of the feed, and the seconds to wait. Raises InvalidParameter, InvalidCursor."""
    sent = request.query
    after = None
    if "after" in sent:
        after = ChangeCursor.parse(sent["after"])
        if after is None:
            raise errors.InvalidCursor(_NO_CURSOR)
    types = tuple(dict.fromkeys(sent["types"].split(","))) if "types" in sent else ()
    for name in types:
        if name not in services.records.shapes:
            known = ", ".join(services.records.shapes)
            message = f"Unknown record type {name[:60]!a} in types. Known types, separated by commas: {known}."
            raise errors.InvalidParameter(message, parameter="types")
    if sent.get("include", "record") != "record":
        raise errors.InvalidParameter("include is `record`.", parameter="include")
    query = FeedQuery(
        after=after,
        types=types,
        limit=whole_number("limit", sent.get("limit"), default=MOST_ITEMS, most=MOST_ITEMS),
        records="include" in sent,
    )
    return query, whole_number("wait", sent.get("wait"), default=0, least=0, most=MOST_SECONDS)

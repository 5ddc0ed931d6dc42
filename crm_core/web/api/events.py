"""The route of event streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from quart import Response, request

from crm_core.access.event_ids import Place
from crm_core.errors import RateLimited, StorageUnavailable, Unauthenticated, UnknownParameter
from crm_core.services import Services
from crm_core.web.callers import caller_of
from crm_core.web.operations import BASE, Operation, Parameter, Reply
from crm_core.web.reading import parameters

EVENT_STREAM: Final = "text/event-stream"
_UNKNOWN: Final = Place(10**15)  # past every commit
_HEADERS: Final = {
    "Content-Type": EVENT_STREAM,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until its buffer is full
}


def operations(services: Services) -> list[Operation]:
    """The one operation of events."""

    async def events(tenant: str) -> Response:
        caller = await caller_of(services, tenant)
        parameters(())
        if request.method == "HEAD":  # nobody would read the stream that it began
            return Response(b"", 200, _HEADERS)
        frames = services.feeds.listen(tenant, caller, _last_id())
        # The first frame is drawn here: it refuses one stream too many, and a stream once begun is always closed.
        first = await anext(frames)
        return Response(_from_first(first, frames), 200, _HEADERS)

    return [
        Operation(
            method="GET",
            path=f"{BASE}/events",
            name="events",
            summary="Follow what changes",
            description="Server-sent events: `ready` first, then `sync.applied` and `modules.changed` (users, and "
            "tokens with `sync:read`) and `record.changed` (types that the caller may read). Each event has an `id` of "
            "its own. A client that returns with `Last-Event-ID` resumes exactly after that event, or gets `reset` if "
            "that is too long ago: then it reads again what it shows. The stream ends when the caller signs out, is "
            "disabled, or may hear no more.",
            tag="events",
            handler=events,
            scope="any",
            key="any",
            parameters=(
                Parameter(name="Last-Event-ID", description="The id of the last event received.", where="header"),
            ),
            replies={200: Reply(description="The stream.", schema={"type": "string"}, media_types=(EVENT_STREAM,))},
            errors=(Unauthenticated, UnknownParameter, RateLimited, StorageUnavailable),
        )
    ]


async def _from_first(first: bytes, frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes]:
    async with aclosing(frames):
        yield first
        async for frame in frames:
            yield frame


def _last_id() -> Place | None:
    """Where the client left off; an id that no event has is answered with ``reset``, as one of long ago."""
    sent = request.headers.get("Last-Event-ID", "").strip()
    return (Place.parse(sent) or _UNKNOWN) if sent else None

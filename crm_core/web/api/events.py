"""The route of event streams."""

from __future__ import annotations

from typing import Final

from crm_core.errors import TooManyStreams
from crm_core.model.change_cursor import ChangeCursor
from crm_core.services import Services
from crm_core.web.answers import Answer, empty, streamed
from crm_core.web.operations import BASE, Operation, Parameter, Reply, Route
from crm_core.web.request import Request

EVENT_STREAM: Final = "text/event-stream"
_UNKNOWN: Final = ChangeCursor("0", 0)  # of no epoch
_UNBUFFERED: Final = {"X-Accel-Buffering": "no"}  # nginx would delay events until its buffer is full
EVENTS: Final = Operation(
    method="GET",
    path=f"{BASE}/events",
    name="stream_events",
    summary="Follow what changes",
    description="Server-sent events: `ready` first, then `sync.applied` and `modules.changed` (users, and "
    "tokens with `sync:read`) and `record.changed` (types that the caller may read). Each event has its "
    "own `id`. A client that returns with `Last-Event-ID` resumes exactly after that event, or gets `reset` if "
    "that is too long ago: then it reads again what it shows. The stream ends when the caller signs out, is "
    "disabled, or may hear no more.",
    tag="events",
    scope="any",
    key="any",
    parameters=(Parameter(name="Last-Event-ID", description="The id of the last event received.", where="header"),),
    replies={200: Reply(description="The stream.", schema={"type": "string"}, media_types=(EVENT_STREAM,))},
    errors=(TooManyStreams,),
)


def routes(services: Services) -> list[Route]:
    """The one operation of events."""

    async def events(request: Request) -> Answer:
        if request.method == "HEAD":  # the stream that it began would have no reader
            return empty(200, {"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", **_UNBUFFERED})
        stream = await services.feeds.open(request.tenant, request.caller, _last_id(request))
        return streamed(stream, EVENT_STREAM, _UNBUFFERED)

    return [Route(EVENTS, events)]


def _last_id(request: Request) -> ChangeCursor | None:
    """Where the client left off; an id that no event has is answered with ``reset``, as one of long ago."""
    sent = request.field(b"last-event-id")
    return (ChangeCursor.parse(sent) or _UNKNOWN) if sent else None

"""Acts that take long, such as an import: a script follows their progress, a form without one gets the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec

from crm_core.web.accept import preferred
from crm_core.web.answers import NDJSON
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.page_context import PageContext

S = TypeVar("S")


async def followed(context: PageContext, states: AsyncIterator[S], template: str, **values: Any) -> Response | S:
    """The last state of an act; for a script, a response that streams each state when it is reached.

    Each is a line ``{"html"}`` of the template, which has the state as ``result``.
    """
    if preferred(request.headers.getlist("Accept"), ("text/html", NDJSON)) != NDJSON:
        return [state async for state in states][-1]

    async def lines() -> AsyncIterator[bytes]:
        async for state in states:
            html = context.site.renderer.text(template, result=state, **values)
            yield msgspec.json.encode({"html": html}) + b"\n"

    return Response(lines(), 200, {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}, NDJSON)

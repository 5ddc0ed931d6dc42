"""What stands before the framework: each request gets its id and source, and ambiguous paths are refused unrouted."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec

from crm_core.errors import CrmError, MalformedPath
from crm_core.model.sources import Network
from crm_core.server.paths import refused
from crm_core.web.exchange import SCOPE_KEY, begin
from crm_core.web.problems import PROBLEM, document, headers_of

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
_SAFETY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)


class Front:
    """ASGI middleware around the whole application. ``counted`` is told method, status and seconds of every answer."""

    def __init__(
        self,
        app: Asgi,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        proxies: tuple[Network, ...],
        counted: Callable[[str, int, float], None],
    ) -> None:
        self._app = app
        self._counted = counted
        self._now = now
        self._new_id = new_id
        self._proxies = proxies

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request; everything else (lifespan) passes through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = begin(scope, now=self._now, new_id=self._new_id, proxies=self._proxies)
        scope[SCOPE_KEY] = exchange
        started = time.perf_counter()
        ours = ((b"x-request-id", exchange.request_id.encode()), *_SAFETY)

        async def send_with_id(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *ours]}
                self._counted(scope["method"], message["status"], time.perf_counter() - started)
            await send(message)

        reason = refused(scope.get("raw_path") or scope["path"].encode())
        if reason is not None:
            await _tell(MalformedPath(reason), exchange.request_id, send_with_id)
            return
        await self._app(scope, receive, send_with_id)


async def _tell(error: CrmError, request_id: str, send: Any) -> None:
    body = msgspec.json.encode(document(error, request_id))
    headers = [(b"content-type", PROBLEM.encode()), (b"content-length", b"%d" % len(body))]
    headers += [(name.lower().encode(), value.encode()) for name, value in headers_of(error).items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})

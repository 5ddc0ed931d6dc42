"""How the framework is run per request: its own connection class, less what an answer that is at hand needs not."""

from __future__ import annotations

import asyncio
from typing import Any

from quart import Response
from quart.asgi import ASGIHTTPConnection
from quart.utils import encode_headers
from quart.wrappers.response import DataBody

from crm_core.server.cycle import WHOLE


class RequestConnection(ASGIHTTPConnection):
    """Quart's, less its two tasks and its timer where a request has arrived whole and its answer is at hand.

    A client that leaves meanwhile stops nothing: what was begun is short, and done whole. Bodies that are still on
    their way and answers that are streamed are Quart's own affair, which ends them when the client leaves.
    """

    async def __call__(self, receive: Any, send: Any) -> None:
        """Serve one request."""
        if not self.scope.get(WHOLE, False):
            await super().__call__(receive, send)
            return
        request = self._create_request_from_scope(send)
        request.body.append((await receive()).get("body", b""))
        request.body.set_complete()
        response: Any = await self.app.handle_request(request)
        if isinstance(response, Response) and isinstance(response.response, DataBody):
            headers = encode_headers(response.headers)
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": response.response.data, "more_body": False})
        else:
            await self._stream(receive, send, response)

    async def _stream(self, receive: Any, send: Any, response: Any) -> None:
        """Send an answer part by part, until its end or the client's."""
        sending = asyncio.ensure_future(self._send_response(send, response))
        leaving = asyncio.ensure_future(_disconnected(receive))
        done, pending = await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue

"""How the framework is run per request: its own connection class, less what an answer that is at hand needs not."""

from __future__ import annotations

from typing import Any

from quart import Response
from quart.asgi import ASGIHTTPConnection
from quart.utils import encode_headers
from quart.wrappers.response import DataBody


class Connection(ASGIHTTPConnection):
    """Quart's, less the timer around an answer that has no time limit; a body at hand is one message."""

    async def handle_request(self, request: Any, send: Any) -> None:
        """Answer one request; the error handler of the application has turned every failure into an answer."""
        response: Any = await self.app.handle_request(request)
        if not isinstance(response, Response) or not isinstance(response.response, DataBody):
            await self._send_response(send, response)
            return
        headers = encode_headers(response.headers)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.response.data, "more_body": False})

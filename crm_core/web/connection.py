"""Quart's connection class without the tasks and the timer that a ready response does not need."""

from __future__ import annotations

from typing import Any

from quart import Response
from quart.asgi import ASGIHTTPConnection
from quart.utils import encode_headers
from quart.wrappers.response import DataBody

from crm_core.server.cycle import WHOLE
from crm_core.web.sending import until_client_leaves


class RequestConnection(ASGIHTTPConnection):
    """Quart's, without its two tasks and its timer if a request has arrived whole and its response is ready.

    A client that leaves meanwhile stops nothing: the work is short, and is finished. Quart itself handles bodies that
    are still arriving and ends them when the client leaves.
    """

    async def __call__(self, receive: Any, send: Any) -> None:
        """Serve one request."""
        body: Any = self.scope.get(WHOLE)
        if body is None:
            await super().__call__(receive, send)
            return
        request = self._create_request_from_scope(send)
        request.body.append(body)
        request.body.set_complete()
        response: Any = await self.app.handle_request(request)
        if isinstance(response, Response) and isinstance(response.response, DataBody):
            headers = encode_headers(response.headers)
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": response.response.data, "more_body": False})
        else:
            await until_client_leaves(self._send_response(send, response), receive)

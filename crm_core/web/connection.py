"""How the framework is run per request: its own connection class, without a second task where nobody waits for one."""

from __future__ import annotations

from typing import Any

from quart.asgi import ASGIHTTPConnection


class Connection(ASGIHTTPConnection):
    """Quart's, less the timer around an answer that has no time limit."""

    async def handle_request(self, request: Any, send: Any) -> None:
        """Answer one request; the error handler of the application has turned every failure into an answer."""
        response: Any = await self.app.handle_request(request)
        await self._send_response(send, response)

"""The whole application as one of Quart: every request that reaches it gets the answer that the front would give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
from quart import Quart, Response, request

from crm_core.web.answers import Answer
from crm_core.web.connection import RequestConnection
from crm_core.web.dispatcher import Dispatcher
from crm_core.web.request import SCOPE_KEY, Request


class AnswerResponse(Response):
    """A response with the header fields that it is given, and no others."""

    default_mimetype = cast("str", None)  # no media type unless one is given
    automatically_set_content_length = False


def create_app(dispatcher: Dispatcher, pages: Callable[[Request], Awaitable[Answer]]) -> Quart:
    """The application of an instance."""
    app = Quart("crm_core", static_folder=None)
    app.asgi_http_class = RequestConnection
    app.config["MAX_CONTENT_LENGTH"] = None  # each operation has its own limit
    app.config["BODY_TIMEOUT"] = None  # the server's deadline applies
    app.config["RESPONSE_TIMEOUT"] = None  # exports and event streams take as long as their reader does

    @app.before_request
    async def answer() -> Response:
        sent: Request = cast("dict[str, Any]", request.scope)[SCOPE_KEY]  # the front put it there
        read = msgspec.structs.replace(sent, whole=None, chunks=request.body.__aiter__)
        found = await (dispatcher.settled(read) if dispatcher.serves(sent) else pages(read))
        headers = [(name.decode(), value.decode("latin-1")) for name, value in found.headers]
        return AnswerResponse(found.body, found.status, headers)  # type: ignore[arg-type]  # pairs are headers too

    return app

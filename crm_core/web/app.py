"""The Quart application of pages. A request for the API that reaches it gets the dispatcher's answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from quart import Blueprint, Quart, Response, request
from quart.routing import QuartRule

from crm_core.web.connection import RequestConnection
from crm_core.web.dispatcher import Dispatcher
from crm_core.web.framework import current_request, error_response, response_of


class _MatchedOnly(QuartRule):
    """A rule that only matches: no address is built from routes, and preparing that costs most of a rule's making."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:  # noqa: ARG002, FBT001, FBT002 -- werkzeug's signature
        return _not_built


def _not_built(*_: object, **__: object) -> tuple[str, str]:
    raise NotImplementedError("addresses are written where they are used; routes build none")


def create_app(dispatcher: Dispatcher, pages: Iterable[Blueprint]) -> Quart:
    """The application of an instance's pages."""
    app = Quart("crm_core", static_folder=None)
    app.asgi_http_class = RequestConnection
    app.url_rule_class = _MatchedOnly
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = None  # each operation has its own limit
    app.config["BODY_TIMEOUT"] = None  # the server's deadline applies
    app.config["RESPONSE_TIMEOUT"] = None  # exports and event streams take as long as their reader does

    # Before the routes: among them, a catch-all one would yield to pages and hide the methods that these allow.
    @app.before_request
    async def api() -> Response | None:
        asked = current_request()
        if not dispatcher.serves(asked):
            return None
        read = msgspec.structs.replace(asked, whole=None, chunks=request.body.__aiter__)
        return response_of(await dispatcher.settled(read))

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        return error_response(error)

    for blueprint in pages:
        app.register_blueprint(blueprint)
    return app

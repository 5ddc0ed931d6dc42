"""Unknown addresses below a tenant: a page for browsers, a problem for other clients."""

from __future__ import annotations

import re
from typing import Final

from quart import Blueprint, Response, request

from crm_core.errors import CrmError, NotFound
from crm_core.language import gettext_noop
from crm_core.server.problem import PROBLEM
from crm_core.web.accept import preferred
from crm_core.web.answers import JSON
from crm_core.web.framework import error_response
from crm_core.web.pages.anonymous_context import anonymous_context
from crm_core.web.pages.refusals import anonymous_refusal
from crm_core.web.pages.site import Site

_PAGES: Final = re.compile(r"/i/[^/]+/t/([^/]+)/(?!api/)")


def not_found_pages(site: Site) -> Blueprint:
    """The response to requests without a route."""
    pages = Blueprint("not_found", __name__)

    @pages.app_errorhandler(404)
    async def not_found(error: Exception) -> Response:
        found = _PAGES.match(request.path)
        if found is None or request.method != "GET" or not _prefers_page():
            return error_response(error)
        try:
            context = await anonymous_context(site, found.group(1))
        except CrmError as unknown:
            return error_response(unknown)
        return anonymous_refusal(context, NotFound(gettext_noop("There is no page at this address.")))

    return pages


def _prefers_page() -> bool:
    """Whether the client prefers a page to a problem; one that accepts anything does not."""
    return preferred(request.headers.getlist("Accept"), (PROBLEM, JSON, "text/html")) == "text/html"

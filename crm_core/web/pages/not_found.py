"""Unknown addresses below a tenant: a page for browsers, a problem for other clients."""

from __future__ import annotations

import re
from typing import Final

from crm_core.errors import NotFound
from crm_core.language import gettext_noop
from crm_core.server.problem import PROBLEM
from crm_core.web.accept import preferred
from crm_core.web.answers import JSON
from crm_core.web.pages.anonymous_context import anonymous_context
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.refusals import anonymous_refusal
from crm_core.web.pages.site import Site

_PAGES: Final = re.compile(r"/i/[^/]+/t/([^/]+)/(?!api/)")


async def not_found(site: Site) -> Response | None:
    """The response to a request without a route, also of a form's address; None for clients that want no page.

    Raises UnknownTenant.
    """
    found = _PAGES.match(request.path)
    if found is None or request.method != "GET" or not _prefers_page():
        return None
    context = await anonymous_context(site, found.group(1))
    return anonymous_refusal(context, NotFound(gettext_noop("There is no page at this address.")))


def _prefers_page() -> bool:
    """Whether the client prefers a page to a problem; one that accepts anything does not."""
    return preferred(request.headers.getlist("Accept"), (PROBLEM, JSON, "text/html")) == "text/html"

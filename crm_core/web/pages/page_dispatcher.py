"""From a browser's request to the page that answers it; an unknown address is a page for browsers, else a problem."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from werkzeug.exceptions import HTTPException

from crm_core.errors import CrmError, MalformedRequest, MethodNotAllowed, NotFound, StorageUnavailable, UnknownTenant
from crm_core.language import gettext
from crm_core.server.problem import PROBLEM
from crm_core.web.accept import preferred
from crm_core.web.answers import JSON, Answer, for_head
from crm_core.web.operations import BASE
from crm_core.web.pages.browser import Response, begin
from crm_core.web.pages.guard import GuardedRoute, nowhere
from crm_core.web.pages.outage import no_workspace, outage, remembered_file
from crm_core.web.pages.site import Site
from crm_core.web.problems import problem
from crm_core.web.request import Request
from crm_core.web.routing import Router

_PAGES: Final = re.compile(r"/i/[^/]+/t/([^/]+)/(?!api/)")


class PageDispatcher:
    """Answers every request that is not for the API; one without a page becomes a problem.

    Browsers get a page also while the store cannot be read.
    """

    def __init__(self, site: Site, routes: Sequence[GuardedRoute]) -> None:
        self._site = site
        self._router = Router(routes)

    async def __call__(self, request: Request) -> Answer:
        """The answer to a request."""
        begin(request)
        try:
            answer = await self._answer(request)
        except StorageUnavailable as error:
            answer = await self._unavailable(request, error)
        except UnknownTenant as error:
            answer = no_workspace(self._site, error).answer if _prefers_page(request) else problem(error, request)
        except HTTPException as error:  # werkzeug's, for a form that cannot be read
            reason = gettext("The request cannot be read ({reason}).", reason=error.name)
            answer = problem(MalformedRequest(reason), request)
        except Exception as error:  # noqa: BLE001 -- the boundary: every error becomes a problem
            answer = problem(error, request)
        return await for_head(answer) if request.method == "HEAD" else answer

    async def _answer(self, request: Request) -> Answer:
        try:
            route, parameters = self._router.find(request.method, request.path)
        except (NotFound, MethodNotAllowed) as error:
            page = await self._not_found(request)
            if page is None:
                raise _explained(error) from None
            return page.answer
        found = await route.handler(**parameters)
        return found if isinstance(found, Answer) else found.answer

    async def _unavailable(self, request: Request, error: StorageUnavailable) -> Answer:
        """The page that says so to browsers; the problem for all else."""
        found = _PAGES.match(request.path)
        try:
            if file := await remembered_file(self._site, request.path):
                return file.answer
            if found is not None and _prefers_page(request):
                return (await outage(self._site, found[1], error)).answer
        except Exception as failed:  # noqa: BLE001 -- the boundary: every error becomes a problem
            return problem(failed, request)
        return problem(error, request)

    async def _not_found(self, request: Request) -> Response | None:
        """The page for an address without a route, also for a form's; None for clients that want no page.

        Raises UnknownTenant.
        """
        found = _PAGES.match(request.path)
        if request.method not in ("GET", "HEAD") or not _prefers_page(request):
            return None
        if found is None:
            return no_workspace(self._site, NotFound())
        return await nowhere(self._site, found[1])


def _prefers_page(request: Request) -> bool:
    """Whether the client prefers a page to a problem; one that accepts anything does not."""
    return preferred(request.fields(b"accept"), (PROBLEM, JSON, "text/html")) == "text/html"


def _explained(error: NotFound | MethodNotAllowed) -> CrmError:
    if isinstance(error, NotFound):
        return NotFound(gettext("There is nothing at this address."))
    allowed = error.evidence["allow"]
    detail = f"This is the address of a page: use {allowed}. The addresses of the API begin with {BASE}/."
    return MethodNotAllowed(detail, allow=allowed)

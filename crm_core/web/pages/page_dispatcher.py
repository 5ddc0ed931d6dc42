"""From a browser's request to the page that answers it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from werkzeug.exceptions import HTTPException

from crm_core.errors import CrmError, InternalError, MalformedRequest, MethodNotAllowed, NotFound
from crm_core.language import gettext
from crm_core.web.answers import Answer, nothing
from crm_core.web.operations import BASE
from crm_core.web.pages.browser import begin
from crm_core.web.pages.guard import GuardedRoute
from crm_core.web.pages.not_found import not_found
from crm_core.web.pages.site import Site
from crm_core.web.problems import problem
from crm_core.web.request import Request
from crm_core.web.routing import Router


class PageDispatcher:
    """Answers every request that is not for the API; one without a page becomes a problem."""

    def __init__(self, site: Site, routes: Sequence[GuardedRoute]) -> None:
        self._site = site
        self._router = Router(routes)

    async def __call__(self, request: Request) -> Answer:
        """The answer to a request."""
        begin(request)
        try:
            answer = await self._answer(request)
        except Exception as error:  # noqa: BLE001 -- the boundary: every error becomes a problem
            answer = problem(_known(error), request)
        if request.method == "HEAD" and isinstance(answer.body, AsyncGenerator):
            await answer.body.aclose()
            return Answer(answer.status, answer.headers, nothing())
        return answer

    async def _answer(self, request: Request) -> Answer:
        try:
            route, parameters = self._router.find(request.method, request.path)
        except (NotFound, MethodNotAllowed) as error:
            page = await not_found(self._site)
            if page is None:
                raise _explained(error) from None
            return page.answer
        found = await route.view(**parameters)
        return found if isinstance(found, Answer) else found.answer


def _explained(error: NotFound | MethodNotAllowed) -> CrmError:
    if isinstance(error, NotFound):
        return NotFound(gettext("There is nothing at this address."))
    allowed = error.evidence["allow"]
    detail = f"This is the address of a page: use {allowed}. The addresses of the API begin with {BASE}/."
    return MethodNotAllowed(detail, allow=allowed)


def _known(error: Exception) -> Exception:
    """The error to report: werkzeug has errors for forms that cannot be read."""
    if isinstance(error, CrmError) or not isinstance(error, HTTPException):
        return error
    if error.code is not None and error.code < 500:
        return MalformedRequest(gettext("The request cannot be read ({reason}).", reason=error.name))
    return InternalError()

"""Guarded routes of pages: each names its permission once, and nothing is served before it is checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Literal
from urllib.parse import urlencode

import msgspec

from crm_core.errors import CrmError, CsrfFailed, NotFound, PayloadTooLarge, Unauthenticated
from crm_core.language import gettext, gettext_noop
from crm_core.web.callers import ended_session_cookie, require_confirmed, require_unchanged, visitor
from crm_core.web.dispatcher import require_tenant
from crm_core.web.operations import BASE, TENANT
from crm_core.web.pages.anonymous_context import anonymous_context
from crm_core.web.pages.browser import MOST_FORM, Response, Result, request
from crm_core.web.pages.layout.rendering import see_other
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.refusals import anonymous_refusal, refusal
from crm_core.web.pages.site import Site
from crm_core.web.pages.tenant_context import set_language_for
from crm_core.web.pages.unsaved import unsaved_input
from crm_core.web.problems import problem
from crm_core.workspace import require, require_scope

OPEN: Final = "open"
"""Everyone may open the page."""
SIGNED_IN: Final = "any"
"""Every user may."""

_NOT_THE_API: Final = f"This is the address of a page for browsers. The addresses of the API begin with {BASE}/."

Handler = Callable[..., Awaitable[Result]]
"""Called with a PageContext (open pages: an AnonymousContext) and the parameters of the path by name."""


class PageRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one page. ``key``: ``open``, ``any``, one of the core's keys, or ``{module}.action``.

    ``writes``: a suspended subscription refuses the form as well as its submission. ``keeps``: a refusal shows the
    input again, so that it is not lost. ``most``: bytes of its form; one with files may have more than ``MOST_FORM``.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    key: str
    writes: bool = False
    keeps: bool = False
    most: int = MOST_FORM


class GuardedRoute(msgspec.Struct, frozen=True):
    """A page behind its guard; ``handler`` is called with the parameters of the path by name."""

    method: str
    path: str
    handler: Handler


def guarded(site: Site, routes: Iterable[PageRoute]) -> list[GuardedRoute]:
    """The pages, and the address of a tenant without its last slash."""
    found = [GuardedRoute(one.method, TENANT + one.path, _guarded(site, one)) for one in routes]
    return [*found, GuardedRoute("GET", TENANT, _to_dashboard)]


async def nowhere(site: Site, tenant: str) -> Response:
    """The page for an address without a page: of the workspace for its users. Raises UnknownTenant."""
    error = NotFound(gettext_noop("There is no page at this address."))
    try:
        return await refusal(await _context(site, tenant), error)
    except Unauthenticated:
        return anonymous_refusal(await anonymous_context(site, tenant), error)


async def _to_dashboard(**_path: str) -> Response:
    """Add the missing last slash; without scheme and host, which only proxies may know."""
    location = request.sent.raw_path.decode("ascii") + "/"
    return Response(b"", 308, headers={"Location": location, "Cache-Control": "no-store"})


def _guarded(site: Site, one: PageRoute) -> Handler:
    async def answer(instance: str, tenant: str, **path: Any) -> Result:
        await require_tenant(site.services, instance, tenant)
        if one.key == OPEN:
            return await _anonymous(site, tenant, one, path)
        try:
            context = await _context(site, tenant)
        except Unauthenticated as error:
            if "Authorization" in request.headers:  # a program, which a sign-in page does not help
                return problem(NotFound(_NOT_THE_API), request.sent)
            return await _signed_out(site, tenant, one, error)
        try:
            _admit(context, one, path)
            if one.method == "POST":
                await _require_csrf_token(context, one.most)
                try:
                    await require_unchanged(site.services, request.sent, tenant, context.caller)
                except Unauthenticated as error:
                    return await _signed_out(site, tenant, one, error)
            return await one.handler(context, **path)
        except CrmError as error:
            return await refusal(context, error, await unsaved_input(context.services, one.most) if one.keeps else None)

    return answer


async def _anonymous(site: Site, tenant: str, one: PageRoute, path: dict[str, Any]) -> Result:
    context = await anonymous_context(site, tenant)
    try:
        if one.method == "POST":
            _require_small(MOST_FORM)
            context.require_csrf_token((await request.form).get("csrf", ""))
        return await one.handler(context, **path)
    except CrmError as error:
        return anonymous_refusal(context, error)


async def _context(site: Site, tenant: str) -> PageContext:
    caller = await visitor(site.services, request.sent, tenant)
    workspace = await site.workspace_of(tenant, caller.seen)
    set_language_for(site, workspace, caller.language)
    return PageContext(site=site, tenant=tenant, caller=caller, workspace=workspace)


def _admit(context: PageContext, one: PageRoute, path: dict[str, Any]) -> None:
    """Raise AccessError if the user may not open the page, NotFound if there is no such module."""
    if one.key == SIGNED_IN:
        return
    key = one.key.format(**path)
    if key in context.workspace.roles.core_keys:
        require_scope(context.workspace, context.caller, scope=None, key=key)
        return
    if context.workspace.catalog.guard(key).partition(".")[0] not in context.workspace.modules.states:
        raise NotFound(gettext_noop("There is no page at this address."))
    require(context.workspace, context.caller, key, writes=one.writes)


async def _require_csrf_token(context: PageContext, most: int) -> None:
    _require_small(most)
    form = await request.form
    require_confirmed(context.services, request.sent, context.tenant, context.caller, form.get("csrf", ""))


def _require_small(most: int) -> None:
    """Refuse a form that is too large, or of another media type than ours: multipart if it may have a file."""
    length = request.content_length
    if length is None or length > most:
        raise PayloadTooLarge(gettext("The form is larger than {n} bytes. Shorten it.", n=most), limit=most)
    if most > MOST_FORM and request.mimetype == "multipart/form-data":
        request.most = most
    elif request.mimetype != "application/x-www-form-urlencoded":
        raise CsrfFailed("Send the page's own form, as application/x-www-form-urlencoded.")


async def _signed_out(site: Site, tenant: str, one: PageRoute, error: Unauthenticated) -> Response:
    """The sign-in page, or the input that was sent without a session."""
    if not one.keeps:
        return _to_login(site, tenant)
    context = await anonymous_context(site, tenant)  # sets the language of the labels
    unsaved = await unsaved_input(site.services, one.most)
    return anonymous_refusal(context, error, unsaved) if unsaved else _to_login(site, tenant)


def _to_login(site: Site, tenant: str) -> Response:
    """To the sign-in page, which leads back to the requested one, or says that a form was not accepted signed out."""
    query = "said=ended"
    if request.method in ("GET", "HEAD"):
        query = urlencode({"next": request.full_path.rstrip("?")})
    response = see_other(f"{site.root(tenant)}/login?{query}")
    response.headers.add("Set-Cookie", ended_session_cookie(site.services, request.sent, tenant))
    return response

"""Routes of pages: each names its permission once, and nothing is served before it was asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlencode

from quart import Blueprint, Response, request

from crm_core.errors import CrmError, CsrfFailed, NotFound, PayloadTooLarge, Unauthenticated
from crm_core.web.app import require_tenant
from crm_core.web.callers import forget_sign_in, require_confirmed, visitor
from crm_core.web.operations import TENANT, route
from crm_core.web.pages.door import Door
from crm_core.web.pages.refusals import refusal, refusal_at_door
from crm_core.web.pages.site import Site
from crm_core.web.pages.visit import Visit
from crm_core.workspace import require, require_scope

MOST_FORM: Final = 512 * 1024  # a record of 256 KiB as a form is larger than as JSON

OPEN: Final = "open"
"""Anybody may see the page."""
SIGNED_IN: Final = "any"
"""Every user may."""

View = Callable[..., Awaitable[Response]]
"""Takes a Visit (a Door for open pages), and the path's parameters by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRoute:
    """One method of one page. ``key``: ``open``, ``any``, one of the core's keys, or ``{module}.action``.

    ``writes``: a suspended subscription refuses it, the form as well as what it sends.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    view: View
    key: str
    writes: bool = False


def blueprint(site: Site, routes: Iterable[PageRoute]) -> Blueprint:
    """The routes as the application takes them."""
    made = Blueprint("pages", __name__)
    for one in routes:
        made.add_url_rule(
            route(TENANT + one.path),
            endpoint=one.name,
            view_func=_guarded(site, one),
            methods=[one.method],
            provide_automatic_options=False,
        )
    made.add_url_rule(route(TENANT), endpoint="dashboard_address", view_func=_to_dashboard, methods=["GET"])
    return made


async def _to_dashboard(**_path: str) -> Response:
    """An address that lacks its last slash. Told without scheme and host, of which only proxies may know."""
    raw_path: bytes = request.scope["raw_path"]  # our server always tells it
    return Response(b"", 308, headers={"Location": raw_path.decode("ascii") + "/", "Cache-Control": "no-store"})


def _guarded(site: Site, one: PageRoute) -> View:
    async def view(instance: str, tenant: str, **path: Any) -> Response:
        await require_tenant(site.services, instance, tenant)
        if one.key == OPEN:
            return await _at_door(site, tenant, one, path)
        try:
            visit = await _visit(site, tenant)
        except Unauthenticated:
            return _to_login(site, tenant)
        try:
            _admit(visit, one, path)
            if one.method == "POST":
                await _confirm(visit)
            return await one.view(visit, **path)
        except CrmError as error:
            return await refusal(visit, error)

    return view


async def _at_door(site: Site, tenant: str, one: PageRoute, path: dict[str, Any]) -> Response:
    workspace = await site.services.views.of(tenant)
    door = Door(site=site, tenant=tenant, workspace=workspace, look=site.looks.of(workspace))
    try:
        if one.method == "POST":
            _require_small()
            door.require_confirmed((await request.form).get("csrf", ""))
        return await one.view(door, **path)
    except CrmError as error:
        return refusal_at_door(door, error)


async def _visit(site: Site, tenant: str) -> Visit:
    caller = await visitor(site.services, tenant)
    workspace = await site.services.views.of(tenant)
    return Visit(site=site, tenant=tenant, caller=caller, workspace=workspace, look=site.looks.of(workspace))


def _admit(visit: Visit, one: PageRoute, path: dict[str, Any]) -> None:
    """Raise the refusal where the user may not see the page; what is no module is not found."""
    if one.key == SIGNED_IN:
        return
    key = one.key.format(**path)
    if key in visit.workspace.roles.core_keys:
        require_scope(visit.workspace, visit.caller, scope=None, key=key)
        return
    if key.partition(".")[0] not in visit.workspace.modules.states:
        raise NotFound("There is no such page.")
    require(visit.workspace, visit.caller, key, writes=one.writes)


async def _confirm(visit: Visit) -> None:
    _require_small()
    form = await request.form
    require_confirmed(visit.services, visit.tenant, visit.caller, form.get("csrf", ""))


def _require_small() -> None:
    length = request.content_length
    if length is None or length > MOST_FORM:
        raise PayloadTooLarge(f"The form is over {MOST_FORM} bytes; shorten it.", limit=MOST_FORM)
    if request.mimetype != "application/x-www-form-urlencoded":
        raise CsrfFailed("Send the page's own form.")


def _to_login(site: Site, tenant: str) -> Response:
    """To the sign-in page, and from there back to where the user wanted to go."""
    made = Response("", 303)
    wanted = request.full_path.rstrip("?") if request.method == "GET" else ""
    query = f"?{urlencode({'next': wanted})}" if wanted else ""
    made.headers["Location"] = f"{site.root(tenant)}/login{query}"
    made.headers["Cache-Control"] = "no-store"
    forget_sign_in(made, site.services, tenant)
    return made

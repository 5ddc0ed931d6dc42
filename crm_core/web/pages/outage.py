"""The page of a tenant whose store cannot be read at the moment, so that neither user nor workspace are known."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from crm_core.errors import StorageUnavailable
from crm_core.language import gettext
from crm_core.web.pages import files
from crm_core.web.pages.anonymous_context import AnonymousContext
from crm_core.web.pages.browser import Response, current_request
from crm_core.web.pages.layout.frame import AnonymousFrame
from crm_core.web.pages.site import Site
from crm_core.web.pages.tenant_context import set_language_for
from crm_core.web.pages.unavailable import unavailable

_FILES: Final = re.compile(r"/i/[^/]+/t/([^/]+)/(settings/theme|picture)/([^/]+)")


class OutageView(msgspec.Struct, frozen=True):
    """What cannot be done now. ``again``: the address to try again; empty for a form, which the browser still has."""

    title: str
    text: str
    code: str
    request_id: str
    again: str


async def remembered_file(site: Site, path: str) -> Response | None:
    """A file that the page loads, the theme or a picture of the brand; None for other paths. Raises NotFound."""
    found = _FILES.fullmatch(path)
    if found is None:
        return None
    tenant, kind, name = found.groups()
    context = await _remembered(site, tenant)
    return await (files.picture if kind == "picture" else files.theme)(context, name)


async def outage(site: Site, tenant: str, error: StorageUnavailable) -> Response:
    """The page in the brand that the tenant had when it was seen last, if this process has seen it."""
    context, sent = await _remembered(site, tenant), current_request()
    found = unavailable()
    query = "?" + sent.query_string.decode("latin-1") if sent.query_string else ""
    again = sent.raw_path.decode("latin-1") + query if found.page is None else found.page and context.root + found.page
    view = OutageView(gettext(found.title), gettext(found.text), error.code, sent.request_id, again)
    response = outage_page(site, context.frame, view, error.status)
    response.headers["Retry-After"] = str(error.retry_after or 1)
    return response


def outage_page(site: Site, frame: AnonymousFrame, view: OutageView, status: int) -> Response:
    """The page of an outage, without a form."""
    return site.renderer.response(site.renderer.text("outage.html", frame=frame, view=view), "", status)


async def _remembered(site: Site, tenant: str) -> AnonymousContext:
    workspace = site.services.views.remembered(tenant)
    set_language_for(site, workspace)
    await site.branding_cache.load(workspace)
    return AnonymousContext(site=site, tenant=tenant, workspace=workspace)

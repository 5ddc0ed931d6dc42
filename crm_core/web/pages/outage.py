"""The page of a tenant whose store cannot be read at the moment, so that neither user nor workspace are known."""

from __future__ import annotations

import re
from typing import Final

from crm_core.errors import CrmError, StorageUnavailable
from crm_core.language import gettext
from crm_core.web.pages import files
from crm_core.web.pages.anonymous_context import AnonymousContext
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.frame import AnonymousFrame
from crm_core.web.pages.layout.parts import PageLink
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.site import Site
from crm_core.web.pages.tenant_context import set_language_for
from crm_core.web.pages.unavailable import unavailable

_FILES: Final = re.compile(r"/i/[^/]+/t/([^/]+)/(settings/theme|picture)/([^/]+)")


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
    context, sent = await _remembered(site, tenant), request.sent
    found = unavailable()
    query = "?" + sent.query_string.decode("latin-1") if sent.query_string else ""
    again = sent.raw_path.decode("latin-1") + query if found.page is None else found.page and context.root + found.page
    away = PageLink(again, gettext("Try again")) if again else None
    response = outage_page(site, context.frame, error, title=gettext(found.title), text=gettext(found.text), away=away)
    response.headers["Retry-After"] = str(error.retry_after or 1)
    return response


def outage_page(
    site: Site, frame: AnonymousFrame, error: CrmError, *, title: str, text: str, away: PageLink | None
) -> Response:
    """The page of an outage, without a form."""
    view = PageView(
        "anonymous_refusal.html",
        title=title,
        text=text,
        away=away,
        code=error.code,
        request_id=request.sent.request_id,
        unsaved=None,
        next_step="",
        again=False,
    )
    html = site.renderer.text(view.template, frame=frame, view=view.values)
    return site.renderer.response(html, "", error.status)


async def _remembered(site: Site, tenant: str) -> AnonymousContext:
    workspace = site.services.views.remembered(tenant)
    set_language_for(site, workspace)
    await site.branding_cache.load(workspace)
    return AnonymousContext(site=site, tenant=tenant, workspace=workspace)

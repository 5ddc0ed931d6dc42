"""Pages without a workspace: its store cannot be read at the moment, or the address belongs to none."""

from __future__ import annotations

import re
from typing import Final

from crm_core.errors import CrmError, StorageUnavailable, UnknownTenant
from crm_core.language import gettext, set_language
from crm_core.model.presentation import Appearance
from crm_core.web.pages import files
from crm_core.web.pages.anonymous_context import AnonymousContext
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.assets import PLAIN_THEME
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
    response = _page(site, context.frame, error, title=gettext(found.title), text=gettext(found.text), away=away)
    response.headers["Retry-After"] = str(error.retry_after or 1)
    return response


def no_workspace(site: Site, error: CrmError) -> Response:
    """The page of an unknown tenant, or of an address outside of all, without a brand, in the browser's language."""
    set_language(site.services.languages.choose(request.accept_languages.values()))
    title = gettext("There is no page at this address.")
    text = gettext("Check the address, or ask the person who gave it to you.")
    if isinstance(error, UnknownTenant):
        title = gettext("There is no workspace at this address.")
        text = gettext("Its name may be misspelled, or the workspace was removed.") + " " + text
    frame = AnonymousFrame(root="", brand=Appearance(title="CRM"), theme=site.renderer.asset(PLAIN_THEME), scheme="")
    return _page(site, frame, error, title=title.rstrip("."), text=text)


def _page(
    site: Site, frame: AnonymousFrame, error: CrmError, *, title: str, text: str, away: PageLink | None = None
) -> Response:
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
    return site.renderer.response(site.renderer.text(view.template, frame=frame, view=view.values), "", error.status)


async def _remembered(site: Site, tenant: str) -> AnonymousContext:
    workspace = site.services.views.remembered(tenant)
    set_language_for(site, workspace)
    await site.branding_cache.load(workspace)
    return AnonymousContext(site=site, tenant=tenant, workspace=workspace)

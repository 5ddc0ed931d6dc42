"""The page of a tenant whose store cannot be read at the moment, so that neither user nor workspace are known."""

from __future__ import annotations

from typing import Final

import msgspec

from crm_core.errors import StorageUnavailable
from crm_core.language import gettext, gettext_noop
from crm_core.web.pages.browser import Response, current_request
from crm_core.web.pages.layout.frame import AnonymousFrame, scheme_of
from crm_core.web.pages.site import Site
from crm_core.web.pages.tenant_context import TenantContext, set_language_for

_READING: Final = (
    gettext_noop("This page cannot be shown at the moment"),
    gettext_noop("Its data cannot be read now. Nothing is lost. Wait a moment, then try again."),
)
_WRITING: Final = (
    gettext_noop("Changes cannot be saved at the moment"),
    gettext_noop("Go back to your input, wait a moment, then save it again."),
)


class OutageView(msgspec.Struct, frozen=True):
    """What cannot be done now. ``again``: the address to try again; empty for a form, which the browser still has."""

    title: str
    text: str
    code: str
    request_id: str
    again: str


async def outage(site: Site, tenant: str, error: StorageUnavailable) -> Response:
    """The page in the brand that the tenant had when it was seen last, if this process has seen it."""
    workspace = site.services.views.remembered(tenant)
    set_language_for(site, workspace)
    await site.branding_cache.load(workspace)
    context, sent = TenantContext(site=site, tenant=tenant, workspace=workspace), current_request()
    reads = sent.method != "POST"
    title, text = _READING if reads else _WRITING
    query = "?" + sent.query_string.decode("latin-1") if sent.query_string else ""
    again = sent.raw_path.decode("latin-1") + query if reads else ""
    view = OutageView(gettext(title), gettext(text), error.code, sent.request_id, again)
    brand = context.branding
    frame = AnonymousFrame(root=context.root, brand=brand.brand, theme=brand.theme, scheme=scheme_of(brand))
    response = site.renderer.response(site.renderer.text("outage.html", frame=frame, view=view), "", error.status)
    response.headers["Retry-After"] = str(error.retry_after or 1)
    return response

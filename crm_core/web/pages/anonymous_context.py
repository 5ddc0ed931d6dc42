"""Requests without a signed-in user: pages in the tenant's brand, and the protection of their forms."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Final

from crm_core.errors import CsrfFailed
from crm_core.language import gettext
from crm_core.web.callers import is_same_origin
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.frame import AnonymousFrame, scheme_of
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.site import Site
from crm_core.web.pages.tenant_context import TenantContext, set_language_for

COOKIE: Final = "crm_door"
_PURPOSE: Final = "door"
_LIFETIME: Final = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True)
class AnonymousContext(TenantContext):
    """A request without a session. Its forms contain a signed copy of a random cookie, as double-submit CSRF token."""

    @cached_property
    def nonce(self) -> str:
        """The value of the cookie: as the browser sent it, else a new one."""
        sent, fresh = request.cookies.get(COOKIE, ""), base64.urlsafe_b64encode(os.urandom(18)).decode()
        return sent if len(sent) == len(fresh) else fresh

    @property
    def frame(self) -> AnonymousFrame:
        """The frame of its pages."""
        brand = self.branding
        return AnonymousFrame(root=self.root, brand=brand.brand, theme=brand.theme, scheme=scheme_of(brand))

    def page(self, view: PageView, status: int = 200) -> Response:
        """A page in the tenant's brand."""
        csrf = self.services.signed.make(_PURPOSE, self.tenant, self.nonce, lifetime=_LIFETIME)
        renderer = self.site.renderer
        response = renderer.response(renderer.text(view.template, frame=self.frame, view=view.values), csrf, status)
        self.set_cookie(response, COOKIE, self.nonce)
        return response

    def require_csrf_token(self, token: str) -> None:
        """Raise CsrfFailed unless the form comes from a page of this site, in the browser that loaded it."""
        if not is_same_origin(self.services, request.sent):
            raise CsrfFailed(gettext("This form was sent from another site. Open the page on this site and try again."))
        if self.services.signed.read(_PURPOSE, token) != (self.tenant, request.cookies.get(COOKIE, "")):
            raise CsrfFailed(gettext("This form has expired. Reload the page."))


async def anonymous_context(site: Site, tenant: str) -> AnonymousContext:
    """The context of the current request without its user; sets the language of the page. Raises UnknownTenant."""
    workspace = await site.workspace_of(tenant)
    set_language_for(site, workspace)
    return AnonymousContext(site=site, tenant=tenant, workspace=workspace)

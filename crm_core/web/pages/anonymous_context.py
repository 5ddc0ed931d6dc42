"""Requests of somebody who is not signed in: forms before there is a session, and pages in the tenant's brand."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from quart import Response, request

from crm_core.errors import CsrfFailed
from crm_core.services import Services
from crm_core.web.callers import lasting_origin, own_origin
from crm_core.web.pages.layout.branding import TenantBranding
from crm_core.web.pages.layout.frame import AnonymousFrame, scheme_of
from crm_core.web.pages.site import Site
from crm_core.workspace import Workspace

COOKIE: Final = "crm_door"
_LIFETIME: Final = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True)
class AnonymousContext:
    """A request without a session. A random cookie and a signed text of it in the form show that it is our page's."""

    site: Site
    tenant: str
    workspace: Workspace
    branding: TenantBranding
    nonce: str = field(init=False)

    def __post_init__(self) -> None:
        kept = request.cookies.get(COOKIE, "")
        fresh = base64.urlsafe_b64encode(os.urandom(18)).decode()
        object.__setattr__(self, "nonce", kept if len(kept) == len(fresh) else fresh)

    @property
    def services(self) -> Services:
        """The use cases."""
        return self.site.services

    @property
    def root(self) -> str:
        """The address of the tenant's pages, without a slash at its end."""
        return self.site.root(self.tenant)

    def page(self, template: str, view: Any, status: int = 200) -> Response:
        """A page in the tenant's brand."""
        frame = AnonymousFrame(
            root=self.root,
            brand=self.branding.brand,
            theme=self.branding.theme,
            scheme=scheme_of(self.branding),
            csrf=self.services.signed.make("door", self.tenant, self.nonce, lifetime=_LIFETIME),
        )
        made = self.site.renderer.page(template, status, frame=frame, view=view)
        secure = own_origin(self.services).startswith("https:")
        made.set_cookie(COOKIE, self.nonce, path=self.root, httponly=True, samesite="Lax", secure=secure)
        return made

    def go(self, path: str) -> Response:
        """Send the browser on."""
        made = Response("", 303)
        made.headers["Location"] = path
        made.headers["Cache-Control"] = "no-store"
        return made

    def require_confirmed(self, confirmation: str) -> None:
        """Raise CsrfFailed unless the form is one of ours, in the browser that loaded it."""
        if request.headers.get("Origin") != own_origin(self.services):
            raise CsrfFailed("This form was sent from another site. Open the page on this site and try again.")
        if self.services.signed.read("door", confirmation) != (self.tenant, request.cookies.get(COOKIE, "")):
            raise CsrfFailed("This form has expired. Reload the page.")

    def lasting_address(self, path: str) -> str | None:
        """The full address of a page, for letters; None where the site's own address is not known."""
        origin = lasting_origin(self.services)
        return None if origin is None else origin + self.root + quote(path, safe="/")

"""What every request for a tenant's pages has, with and without a signed-in user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from crm_core.language import set_language
from crm_core.services import Services
from crm_core.web.callers import lasting_origin
from crm_core.web.pages.browser import Response, request
from crm_core.web.pages.layout.branding import TenantBranding
from crm_core.web.pages.site import Site
from crm_core.workspace import Workspace


def set_language_for(site: Site, workspace: Workspace, chosen: str | None = None) -> None:
    """Set the language of this request: the one that the user chose, else the workspace's, else the browser's."""

    def wishes() -> Iterator[str | None]:
        yield chosen
        yield workspace.regional.locale
        yield from request.accept_languages.values()

    set_language(site.services.languages.choose(wishes()))


@dataclass(frozen=True, kw_only=True)
class TenantContext:
    """A request of a browser: the workspace that it is for, its branding and its addresses."""

    site: Site
    tenant: str
    workspace: Workspace

    @cached_property
    def branding(self) -> TenantBranding:
        """The branding of the workspace."""
        return self.site.branding_cache.of(self.workspace)

    @property
    def services(self) -> Services:
        """The use cases."""
        return self.site.services

    @property
    def root(self) -> str:
        """The path of the tenant's pages, without a slash at its end."""
        return self.site.root(self.tenant)

    def set_cookie(self, response: Response, name: str, value: str, seconds: int | None = None) -> None:
        """Set a cookie that these pages alone get, and no script; without ``seconds`` it ends with the browser."""
        secure = request.sent.scheme == "https"
        response.set_cookie(name, value, seconds, path=self.root, secure=secure, httponly=True, samesite="Lax")

    def address(self, path: str) -> str:
        """The URL of a page for this browser; ``lasting_address`` is for emails."""
        return request.sent.origin + self.root + quote(path, safe="/")

    def lasting_address(self, path: str) -> str | None:
        """The URL of a page for emails; None if no trusted origin is known."""
        origin = lasting_origin(self.services, request.sent)
        return None if origin is None else origin + self.root + quote(path, safe="/")

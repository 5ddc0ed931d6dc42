"""One request of a browser: who asks, in which workspace, and how the answer is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from crm_core.errors import AccessError
from crm_core.model.caller import Caller
from crm_core.services import Services
from crm_core.web.callers import lasting_origin, own_origin
from crm_core.web.pages.layout.branding import TenantBranding
from crm_core.web.pages.layout.formats import Formats
from crm_core.web.pages.layout.names import Names
from crm_core.web.pages.site import Site
from crm_core.workspace import Workspace, keys_of, require


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """A signed-in user's request. ``root`` is the address of the tenant's pages, without a slash at its end."""

    site: Site
    tenant: str
    caller: Caller
    workspace: Workspace
    branding: TenantBranding
    names: Names = field(init=False)
    formats: Formats = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", Names(self.site.services, self.tenant, self.caller))
        object.__setattr__(self, "formats", Formats(self.branding.regional, self.site.services.now()))

    @property
    def services(self) -> Services:
        """The use cases."""
        return self.site.services

    @property
    def root(self) -> str:
        """The address of the tenant's pages."""
        return self.site.root(self.tenant)

    @property
    def keys(self) -> frozenset[str]:
        """What the user may do."""
        return keys_of(self.workspace, self.caller)

    def may(self, key: str, *, writes: bool = False) -> bool:
        """Whether the user may do what a feature key names, now."""
        try:
            require(self.workspace, self.caller, key, writes=writes)
        except AccessError:
            return False
        return True

    def address(self, path: str) -> str:
        """The full address of a page, for the one who asks; for letters there is ``lasting_address``."""
        return own_origin(self.services) + self.root + quote(path, safe="/")

    def lasting_address(self, path: str) -> str | None:
        """The full address of a page, for letters; None where the site's own address is not known."""
        origin = lasting_origin(self.services)
        return None if origin is None else origin + self.root + quote(path, safe="/")

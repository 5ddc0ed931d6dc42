"""What all pages of an instance share."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

import msgspec

from crm_core.access.throttle import Buckets
from crm_core.language import Language
from crm_core.mail import Mailer, full_host_name, load_templates
from crm_core.model.keyed_locks import KeyedLocks
from crm_core.model.recent import Recent
from crm_core.services import Services
from crm_core.web.pages.layout.assets import Assets
from crm_core.web.pages.layout.branding import BrandingCache
from crm_core.web.pages.layout.fragment_cache import CachedRow, FragmentCache
from crm_core.web.pages.layout.rendering import Renderer
from crm_core.workspace import Workspace


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Use cases, templates, static files and caches; ``rows``: of lists, by how they look and the id of the record.

    ``email_limits`` limits how often emails to one address are sent; ``sending``: emails sent in the background;
    ``imports``: turns of those into one record type of a tenant.
    """

    services: Services
    assets: Assets
    renderer: Renderer
    branding_cache: BrandingCache
    rows: Recent[Hashable, CachedRow] = msgspec.field(default_factory=lambda: Recent(4096))
    fragments: FragmentCache = msgspec.field(default_factory=FragmentCache)
    mailer: Mailer
    email_limits: Buckets = msgspec.field(default_factory=lambda: Buckets(capacity=5, seconds=180.0))
    sending: set[asyncio.Task[None]] = msgspec.field(default_factory=set)
    imports: KeyedLocks = msgspec.field(default_factory=KeyedLocks)

    def language_of(self, workspace: Workspace, chosen: str | None = None) -> Language:
        """The language that a user chose, else the workspace's, else English."""
        return self.services.languages.choose((chosen, workspace.regional.locale))

    async def workspace_of(self, tenant: str, seen: tuple[int, str] | None = None) -> Workspace:
        """A tenant's workspace, its branding loaded; ``seen`` and errors as of ``Views.of``."""
        workspace = await self.services.views.of(tenant, seen)
        await self.branding_cache.load(workspace)
        return workspace

    def root(self, tenant: str) -> str:
        """The path of a tenant's pages, without a slash at its end."""
        return f"/i/{self.services.settings.instance}/t/{tenant}"


def site_of(services: Services) -> Site:
    """The site around the use cases of an instance; in a thread, as its templates are loaded."""
    instance = services.settings.instance
    assets = Assets(services.languages.by_tag.values())
    # The options of payload types that name mail servers say where connections may lead.
    calls = services.registry.calls
    mail = [options for name, options in services.options.items() if calls.offers(name, "mail_server")]
    renderer = Renderer(f"/i/{instance}/static/{assets.version}")
    renderer.load()
    load_templates()
    return Site(
        services=services,
        assets=assets,
        renderer=renderer,
        branding_cache=BrandingCache(instance),
        mailer=Mailer(
            allow_inside=any(getattr(options, "allow_private_hosts", False) for options in mail),
            helo=next((name for options in mail if (name := getattr(options, "helo_name", None))), None)
            or full_host_name(services.settings.public_url),
        ),
    )

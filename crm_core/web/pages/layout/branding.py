"""The branding of a tenant's pages: texts, images, theme and regional format, cached per workspace."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Final, NamedTuple

import msgspec
from cachetools import LRUCache

from crm_core.web.pages.layout.formats import RegionalFormat
from crm_core.web.theme import derive, prefers_dark, theme_sheet
from crm_core.workspace import Workspace

_CACHED: Final = 1024


class Picture(NamedTuple):
    """An image embedded in branding."""

    content: bytes
    media_type: str


class TenantBranding:
    """Everything that pages show of the sections of their workspace. ``brand``: its title and pictures are complete."""

    def __init__(self, root: str, workspace: Workspace) -> None:
        look = workspace.appearance
        self._root = root
        self.colors: Mapping[str, str] = look.colors or {}
        self.pictures: dict[str, Picture] = {}
        self.title = look.title or workspace.tenant.replace("-", " ").title()
        self.brand = msgspec.structs.replace(
            look,
            title=self.title,
            logo_url=self._picture(look.logo_url),
            logo_dark_url=self._picture(look.logo_dark_url),
            favicon_url=self._picture(look.favicon_url),
            sidebar_image_url=self._picture(look.sidebar_image_url),
        )
        self.scheme = "dark" if prefers_dark(self.colors) else ""
        self.regional = RegionalFormat(workspace.regional)

    @cached_property
    def theme_digest(self) -> str:
        """A hash of the colors."""
        return hashlib.sha256(repr(sorted(self.colors.items())).encode()).hexdigest()[:16]

    @property
    def theme(self) -> str:
        """The address of the theme, which changes with the colors."""
        return f"{self._root}/settings/theme/{self.theme_digest}"

    @cached_property
    def sheet(self) -> bytes:
        """The stylesheet of the brand."""
        return theme_sheet(self.colors).encode()

    @cached_property
    def light(self) -> dict[str, str]:
        """The color tokens of light pages, for emails and the console."""
        return derive(self.colors, "light")

    def _picture(self, url: str | None) -> str | None:
        """The address of an image; an embedded one is served once, and not repeated in every page."""
        if not url or not url.startswith("data:"):
            return url
        head, _, body = url.partition(",")
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        media_type = head.removeprefix("data:").partition(";")[0]
        self.pictures[name] = Picture(base64.b64decode(body), media_type)
        return f"{self._root}/picture/{name}"


class BrandingCache:
    """The branding of the active tenants of an instance."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._cached: LRUCache[str, tuple[Workspace, TenantBranding]] = LRUCache(_CACHED)

    async def load(self, workspace: Workspace) -> None:
        """Make the branding in a thread unless it is cached: reading a locale and pictures would occupy the loop."""
        if self._of(workspace) is None:
            self._add(workspace, await asyncio.to_thread(self._made, workspace))

    def of(self, workspace: Workspace) -> TenantBranding:
        """The branding of a workspace."""
        return self._of(workspace) or self._add(workspace, self._made(workspace))

    def _of(self, workspace: Workspace) -> TenantBranding | None:
        cached = self._cached.get(workspace.tenant)
        return cached[1] if cached is not None and cached[0] is workspace else None

    def _made(self, workspace: Workspace) -> TenantBranding:
        return TenantBranding(f"/i/{self._instance}/t/{workspace.tenant}", workspace)

    def _add(self, workspace: Workspace, branding: TenantBranding) -> TenantBranding:
        self._cached[workspace.tenant] = (workspace, branding)
        return branding

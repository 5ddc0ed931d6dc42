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

from crm_core.model.presentation import Appearance, LabelledLink
from crm_core.web.pages.layout.formats import RegionalFormat
from crm_core.web.theme import derive, prefers_dark, theme_sheet
from crm_core.workspace import Workspace

_CACHED: Final = 1024
PRODUCT: Final = "CRM"


class Picture(NamedTuple):
    """An image embedded in branding."""

    content: bytes
    media_type: str


class Brand(msgspec.Struct, frozen=True):
    """The texts and images of branding; images are addresses, empty if there is none."""

    title: str
    logo: str
    logo_dark: str
    favicon: str
    side_image: str
    caption: str
    footer_text: str
    footer_links: tuple[LabelledLink, ...]
    support_email: str
    support_url: str
    support_phone: str
    login_message: str


class TenantBranding:
    """Everything that pages show of the sections of their workspace."""

    def __init__(self, root: str, workspace: Workspace) -> None:
        look = workspace.appearance
        self._root = root
        self.colors: Mapping[str, str] = look.colors or {}
        self.pictures: dict[str, Picture] = {}
        self.brand = self._brand(look, workspace.tenant)
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

    def _brand(self, look: Appearance, tenant: str) -> Brand:
        return Brand(
            title=look.title or tenant.replace("-", " ").title(),
            logo=self._picture(look.logo_url),
            logo_dark=self._picture(look.logo_dark_url),
            favicon=self._picture(look.favicon_url),
            side_image=self._picture(look.sidebar_image_url),
            caption=look.sidebar_caption or "",
            footer_text=look.footer_text or "",
            footer_links=look.footer_links or (),
            support_email=look.support_email or "",
            support_url=look.support_url or "",
            support_phone=look.support_phone or "",
            login_message=look.login_message or "",
        )

    def _picture(self, url: str | None) -> str:
        """The address of an image; an embedded one is served once, and not repeated in every page."""
        if not url or not url.startswith("data:"):
            return url or ""
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

"""The branding of a tenant's pages: texts, images, theme and regional format, cached per workspace."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

import msgspec
from cachetools import LRUCache

from crm_core.web.pages.layout.formats import RegionalFormat
from crm_core.web.theme import derive, prefers_dark, theme_sheet
from crm_core.workspace import Workspace

_CACHED: Final = 1024
PRODUCT: Final = "CRM"


class Picture(NamedTuple):
    """An image embedded in branding."""

    content: bytes
    media_type: str


class BrandingLink(msgspec.Struct, frozen=True):
    """A link of the footer."""

    label: str
    url: str


class Brand(msgspec.Struct, frozen=True):
    """The texts and images of branding; images are addresses, empty if there is none."""

    title: str
    logo: str
    logo_dark: str
    favicon: str
    side_image: str
    caption: str
    footer_text: str
    footer_links: tuple[BrandingLink, ...]
    support_email: str
    support_url: str
    support_phone: str
    login_message: str


class TenantBranding:
    """Everything that pages show of the sections of their workspace."""

    def __init__(self, root: str, workspace: Workspace) -> None:
        section = workspace.sections.get("branding")
        data: Mapping[str, Any] = section.data if section else {}
        self._root = root
        self.colors: Mapping[str, str] = data.get("colors") or {}
        self.revision = section.revision if section else 0
        self.pictures: dict[str, Picture] = {}
        self.brand = self._brand(data, workspace.tenant)
        self.scheme = "dark" if prefers_dark(self.colors) else ""
        regional = workspace.sections.get("workspace")
        self.regional = RegionalFormat(regional.data if regional else {})

    @cached_property
    def theme(self) -> str:
        """The address of the theme, with a hash of the colors, since a restored backup may reuse a revision."""
        digest = hashlib.sha256(repr(sorted(self.colors.items())).encode()).hexdigest()[:8]
        return f"{self._root}/theme-{self.revision}.css?c={digest}"

    @cached_property
    def sheet(self) -> bytes:
        """The stylesheet of the brand."""
        return theme_sheet(self.colors).encode()

    @cached_property
    def light(self) -> dict[str, str]:
        """The color tokens of light pages, for emails and the console."""
        return derive(self.colors, "light")

    def _brand(self, data: Mapping[str, Any], tenant: str) -> Brand:
        sidebar, footer, support = (data.get(name) or {} for name in ("sidebar", "footer", "support"))
        return Brand(
            title=data.get("title") or tenant.replace("-", " ").title(),
            logo=self._picture(data.get("logo_url")),
            logo_dark=self._picture(data.get("logo_dark_url")),
            favicon=self._picture(data.get("favicon_url")),
            side_image=self._picture(sidebar.get("image_url")),
            caption=sidebar.get("caption") or "",
            footer_text=footer.get("text") or "",
            footer_links=tuple(BrandingLink(link["label"], link["url"]) for link in footer.get("links") or ()),
            support_email=support.get("email") or "",
            support_url=support.get("url") or "",
            support_phone=support.get("phone") or "",
            login_message=data.get("login_message") or "",
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

    def of(self, workspace: Workspace) -> TenantBranding:
        """The branding of a workspace."""
        cached = self._cached.get(workspace.tenant)
        if cached is None or cached[0] is not workspace:
            root = f"/i/{self._instance}/t/{workspace.tenant}"
            cached = self._cached[workspace.tenant] = (workspace, TenantBranding(root, workspace))
        return cached[1]

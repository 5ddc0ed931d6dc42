"""The branding payload type: the look of a tenant's workspace and sign-in page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from crm_branding.pictures import picture_problem
from crm_core.errors import Finding
from crm_core.model.contrast import contrast
from crm_core.model.presentation import Appearance, LabelledLink
from crm_core.model.text_types import Email, Line, Paragraphs, https_trouble
from crm_core.plugin.payload import PayloadContext, PayloadType

# Foreground, background and their least contrast: 4.5 for text, 3 for other marks (WCAG 2.2, AA: 1.4.3 and 1.4.11).
_PAIRS = (
    ("text", "background", 4.5),
    ("text", "sidebar", 4.5),
    ("primary", "background", 4.5),
    ("accent", "background", 3.0),
)

Url = Annotated[str, Meta(max_length=2048, description="an https URL of up to 2,048 characters")]
# Room for 64 KiB in base64; the picture's own size is checked once it is decoded.
Picture = Annotated[str, Meta(max_length=90_000, description="an https URL or a data:image of up to 64 KiB")]
Color = Annotated[str, Meta(pattern=r"\A#[0-9a-fA-F]{6}\Z", description="a color, exactly #rrggbb")]


class Colors(Struct, frozen=True, forbid_unknown_fields=True):
    """The five colors of the workspace."""

    primary: Color | UnsetType = UNSET
    accent: Color | UnsetType = UNSET
    background: Color | UnsetType = UNSET
    sidebar: Color | UnsetType = UNSET
    text: Color | UnsetType = UNSET


class Sidebar(Struct, frozen=True, forbid_unknown_fields=True):
    """Picture and caption of the sidebar."""

    image_url: Picture | UnsetType = UNSET
    caption: Line | UnsetType = UNSET


class FooterLink(Struct, frozen=True, forbid_unknown_fields=True):
    """A link of the footer."""

    label: Line
    url: Url


class Footer(Struct, frozen=True, forbid_unknown_fields=True):
    """Text and links of the footer."""

    text: Paragraphs | UnsetType = UNSET
    links: Annotated[tuple[FooterLink, ...], Meta(max_length=50)] | UnsetType = UNSET


class Support(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the tenant's users find help."""

    email: Email | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    phone: Line | UnsetType = UNSET


class Branding(Struct, frozen=True, forbid_unknown_fields=True):
    """The branding section."""

    title: Line | UnsetType = UNSET
    logo_url: Picture | UnsetType = UNSET
    logo_dark_url: Picture | UnsetType = UNSET
    favicon_url: Picture | UnsetType = UNSET
    colors: Colors | UnsetType = UNSET
    sidebar: Sidebar | UnsetType = UNSET
    footer: Footer | UnsetType = UNSET
    support: Support | UnsetType = UNSET
    login_message: Paragraphs | UnsetType = UNSET


class BrandingType(PayloadType):
    """Title, pictures, colors and texts, which are public for the sign-in page."""

    NAME = "branding"
    SECTION = Branding
    SHOWN = "public"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"title": "Nordwind Reisen", "colors": {"primary": "#0b5fff"}}

    def validate(self, part: Branding, context: PayloadContext) -> Iterable[Finding]:  # noqa: ARG002 - the interface's
        """Invalid URLs and pictures, and a warning for each weak contrast."""
        for pointer, url in _pictures(part):
            if problem := picture_problem(url) if url[:5].lower() == "data:" else https_trouble(url):
                yield Finding(pointer, "invalid_value", problem)
        for pointer, url in _links(part):
            if problem := https_trouble(url):
                yield Finding(pointer, "invalid_value", problem)
        if part.colors is not UNSET:
            yield from _weak(part.colors)

    def appearance(self, part: Branding) -> Appearance:
        """All of the section."""
        data = msgspec.to_builtins(part)
        sidebar, footer, support = data.get("sidebar", {}), data.get("footer", {}), data.get("support", {})
        links = [LabelledLink(**link) for link in footer.get("links", ())]
        return Appearance(
            title=data.get("title"),
            logo_url=data.get("logo_url"),
            logo_dark_url=data.get("logo_dark_url"),
            favicon_url=data.get("favicon_url"),
            colors=data.get("colors"),
            sidebar_image_url=sidebar.get("image_url"),
            sidebar_caption=sidebar.get("caption"),
            footer_text=footer.get("text"),
            footer_links=tuple(links) or None,
            support_email=support.get("email"),
            support_url=support.get("url"),
            support_phone=support.get("phone"),
            login_message=data.get("login_message"),
        )


def _pictures(part: Branding) -> Iterator[tuple[str, str]]:
    for name in ("logo_url", "logo_dark_url", "favicon_url"):
        url = getattr(part, name)
        if url is not UNSET:
            yield f"/{name}", url
    if part.sidebar is not UNSET and part.sidebar.image_url is not UNSET:
        yield "/sidebar/image_url", part.sidebar.image_url


def _links(part: Branding) -> Iterator[tuple[str, str]]:
    if part.footer is not UNSET and part.footer.links is not UNSET:
        for index, link in enumerate(part.footer.links):
            yield f"/footer/links/{index}/url", link.url
    if part.support is not UNSET and part.support.url is not UNSET:
        yield "/support/url", part.support.url


@lru_cache(maxsize=1024)  # pushes repeat their colors
def _weak(colors: Colors) -> tuple[Finding, ...]:
    found = []
    for upper, lower, least in _PAIRS:
        one, other = getattr(colors, upper), getattr(colors, lower)
        if one is UNSET or other is UNSET:
            continue
        ratio = contrast(one, other)
        if ratio < least:
            text = f"The contrast of {upper} on {lower} is {ratio:.2f}. WCAG AA requires {least:g} or more."
            found.append(Finding(f"/colors/{upper}", "low_contrast", text, warning=True))
    return tuple(found)

"""The data of the branding section."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from crm_core.model.text_types import Email, Line, Paragraphs

Url = Annotated[str, Meta(max_length=2048, description="an https URL of up to 2,048 characters")]
# Room for 64 KiB in base64; the picture's own size is checked once it is decoded.
Picture = Annotated[str, Meta(max_length=90_000, description="an https URL or a data:image of up to 64 KiB")]
Color = Annotated[str, Meta(pattern=r"\A#[0-9a-fA-F]{6}\Z", description="a color, exactly #rrggbb")]


class Colors(Struct, frozen=True, forbid_unknown_fields=True):
    """The five colours of the workspace."""

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
    links: Annotated[list[FooterLink], Meta(max_length=50)] | UnsetType = UNSET


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

"""The look of a workspace, its formats, and its mail server, as sections configure them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

Color = Annotated[str, msgspec.Meta(pattern=r"\A#[0-9a-fA-F]{6}\Z")]
ColorName = Annotated[str, msgspec.Meta(pattern=r"\A(?:primary|accent|background|sidebar|text)\Z")]
Link = Annotated[str, msgspec.Meta(pattern=r"\A(?i:https)://")]
Picture = Annotated[
    str, msgspec.Meta(pattern=r"\A(?:(?i:https)://|data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}\Z)")
]


class LabelledLink(msgspec.Struct, frozen=True):
    """A link of the footer."""

    label: str
    url: Link


class Appearance(msgspec.Struct, frozen=True, kw_only=True):
    """The look of pages and emails; None leaves the default. Pictures are https URLs or ``data:`` URLs of an image."""

    title: str | None = None
    logo_url: Picture | None = None
    logo_dark_url: Picture | None = None
    favicon_url: Picture | None = None
    colors: Mapping[ColorName, Color] | None = None
    sidebar_image_url: Picture | None = None
    sidebar_caption: str | None = None
    footer_text: str | None = None
    footer_links: tuple[LabelledLink, ...] | None = None
    support_email: str | None = None
    support_url: Link | None = None
    support_phone: str | None = None
    login_message: str | None = None


class Regional(msgspec.Struct, frozen=True, kw_only=True):
    """How times, numbers and money are written; None leaves the default.

    ``locale``: BCP 47; ``timezone``: IANA; ``currency``: ISO 4217; ``date_format``: a pattern such as ``YYYY-MM-DD``.
    """

    locale: str | None = None
    timezone: str | None = None
    currency: str | None = None
    date_format: str | None = None


class MailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The server that sends a workspace's emails.

    ``password``: the pointer of the secret member with the password, such as ``/password``; the core opens it when an
    email is sent. ``port`` None: that of ``security``. ``timeout_seconds``: for each step.
    """

    host: str | None = None
    port: int | None = None
    security: Literal["starttls", "tls", "none"] | None = None
    username: str | None = None
    password: str | None = None
    from_email: str | None = None
    from_name: str | None = None
    reply_to: str | None = None
    timeout_seconds: int | None = None


def first_of(values: Iterable[T | None], default: T) -> T:
    """Several values as one: each member is from the first value that has it."""
    combined = default
    for value in values:
        if value is not None:
            given = {name: member for name, member in msgspec.structs.asdict(combined).items() if member is not None}
            combined = msgspec.structs.replace(value, **given)
    return combined

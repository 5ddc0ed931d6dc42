"""The branding payload type: how a tenant's workspace and its sign-in page look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import UNSET

from crm_branding.contrast import contrast
from crm_branding.pictures import picture_trouble
from crm_branding.section import Branding, Colors
from crm_core.errors import Finding
from crm_core.model.text_types import https_trouble
from crm_core.plugin.payload import PayloadContext, PayloadType

# What stands on what, and the least ratio under WCAG AA: 4.5 for text, 3 for what is no text.
_PAIRS = (("text", "background", 4.5), ("text", "sidebar", 4.5), ("primary", "background", 4.5))
_MARKS = (("accent", "background", 3.0),)


class BrandingType(PayloadType):
    """Title, pictures, colours and texts; anyone may see them, for sign-in pages."""

    NAME = "branding"
    SECTION = Branding
    SHOWN = "public"

    def validate(self, part: Branding, context: PayloadContext) -> Iterable[Finding]:  # noqa: ARG002 - the interface's
        """URLs that are none, pictures that are none, and a warning per weak contrast."""
        for pointer, url in _pictures(part):
            trouble = picture_trouble(url) if url[:5].lower() == "data:" else https_trouble(url)
            if trouble:
                yield Finding(pointer, "invalid_value", trouble)
        for pointer, url in _links(part):
            trouble = https_trouble(url)
            if trouble:
                yield Finding(pointer, "invalid_value", trouble)
        if part.colors is not UNSET:
            yield from _weak(part.colors)


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


def _weak(colors: Colors) -> Iterator[Finding]:
    given = {name: getattr(colors, name) for name in colors.__struct_fields__}
    for upper, lower, least in (*_PAIRS, *_MARKS):
        if given[upper] is UNSET or given[lower] is UNSET:
            continue
        ratio = contrast(given[upper], given[lower])
        if ratio < least:
            told = f"The contrast of {upper} on {lower} is {ratio:.2f}; WCAG AA asks for {least:g} or more."
            yield Finding(f"/colors/{upper}", "low_contrast", told, warning=True)

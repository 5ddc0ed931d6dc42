"""The frame around pages, as values: brand, menu, notices, the user; and the frame before signing in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from markupsafe import Markup

from crm_core.language import label_of
from crm_core.model.modules import ModuleState
from crm_core.model.presentation import Appearance
from crm_core.web.pages.browser import request
from crm_core.web.pages.layout.branding import TenantBranding
from crm_core.web.pages.layout.parts import PageNotice

SCHEME: Final = "crm_scheme"
SCHEMES: Final = ("light", "dark")
_ICONS: Final[Mapping[str, str]] = {
    "bar-chart": "chart",
    "briefcase": "board",
    "building": "page",
    "calendar": "clock",
    "check-square": "checklist",
    "file": "page",
    "layout": "page",
    "package": "box",
    "users": "people",
}
"""Names of icons in payloads and catalogs, and our icons for them; our own names are used as they are."""
_KNOWN: Final = frozenset({
    "alert", "board", "bolt", "box", "card", "chart", "check", "checklist", "clock", "eye", "globe", "history", "home",
    "info", "lock", "mail", "page", "people", "search", "shield", "sync", "user",
})  # fmt: skip


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """A message after an action, with the form that undoes it if there is one; ``follow``: where its next step is."""

    text: str
    undo: Undo | None = None
    follow: str = ""


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """One member of a record as it was, for the form that restores it."""

    action: str
    member: str = ""
    value: str = ""
    revision: int = 0
    back: str


class MenuItem(msgspec.Struct, frozen=True):
    """An item of the menu; pages name themselves by its ``name``. ``due``: the count is of work that is due, if any."""

    name: str
    title: str
    href: str
    icon: str
    count: str | None = None
    due: bool | None = None


class MenuGroup(msgspec.Struct, frozen=True):
    """Items under one title; the first group has none."""

    title: str
    items: tuple[MenuItem, ...]


class MenuUser(msgspec.Struct, frozen=True):
    """The user, as the menu shows it."""

    id: str
    name: str
    role: str


class AnonymousFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The frame of a page without a signed-in user."""

    root: str
    brand: Appearance
    theme: str
    scheme: str


class WorkspaceFrame(AnonymousFrame, frozen=True, kw_only=True):
    """The frame of a page of the workspace. ``modules``: the names of those that the user sees."""

    stream: str
    modules: tuple[str, ...]
    menu: tuple[MenuGroup, ...]
    current: str
    user: MenuUser
    notices: tuple[PageNotice, ...]


class FrameParts(NamedTuple):
    """The same as HTML: what comes before each part of a page, and the end."""

    before_title: Markup
    before_main: Markup
    before_content: Markup
    before_toast: Markup
    end: Markup

    def around(self, page: PageParts, toast: str) -> str:
        """The page in its frame."""
        head = f"{self.before_title}{page.title}{self.before_main}{page.main}"
        return f"{head}{self.before_content}{page.content}{self.before_toast}{toast}{self.end}"


class PageParts(NamedTuple):
    """What differs from page to page, as HTML; ``main``: attributes of the element around the content."""

    title: str
    main: str
    content: str


class PageFrame(NamedTuple):
    """The part of its frame that a page itself uses."""

    root: str
    confirmation: Confirmation | None


def scheme_of(branding: TenantBranding) -> str:
    """``light`` or ``dark`` as the user chose, ``dark`` for a dark brand, empty to follow the system."""
    chosen = request.sent.cookie(SCHEME) or ""
    if chosen in SCHEMES:
        return chosen
    return "" if chosen == "system" else branding.scheme


def title_of(state: ModuleState) -> str:
    """The title of a module in the current language, or as it was pushed."""
    return state.title if state.is_titled else label_of(state.title, state.module.name)


def icon_of(state: ModuleState) -> str:
    """The icon of a module, as a payload or the catalog names it, or a default one."""
    name = _ICONS.get(state.icon or "", state.icon or "")
    return name if name in _KNOWN else "page"

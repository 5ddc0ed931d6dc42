"""What stands around every page: brand, menu, notices, the user; and around the pages before signing in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from markupsafe import Markup
from quart import request

from crm_core.model.modules import ModuleState
from crm_core.web.pages.layout.branding import Brand, TenantBranding
from crm_core.web.pages.layout.parts import PageNotice

SCHEME: Final = "crm_scheme"
SCHEMES: Final = ("light", "dark")
_ICONS: Final[Mapping[str, str]] = {
    "bar-chart": "chart",
    "briefcase": "board",
    "building": "page",
    "calendar": "clock",
    "check-square": "tasks",
    "file": "page",
    "layout": "page",
    "package": "box",
    "users": "people",
}
"""Names that payloads and catalogs use for icons of ours; any other name of ours is taken as it is."""
_OURS: Final = frozenset(
    {"alert", "board", "bolt", "box", "card", "chart", "check", "clock", "eye", "globe", "history", "home", "info"}
    | {"lock", "mail", "page", "people", "search", "shield", "sync", "tasks", "user"}
)


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """What was just done; ``undo``, where there is one, is the form that takes it back."""

    text: str
    undo: Undo | None = None


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """One member of one record as it was, for the form that puts it back."""

    action: str
    member: str
    value: str
    revision: int
    back: str


class MenuItem(msgspec.Struct, frozen=True):
    """An item of the menu; ``name`` is what pages call themselves by."""

    name: str
    title: str
    href: str
    icon: str
    count: str | None = None


class MenuGroup(msgspec.Struct, frozen=True):
    """Items under one title; the first group has none."""

    title: str
    items: tuple[MenuItem, ...]


class Self(msgspec.Struct, frozen=True):
    """The user, as the menu shows it."""

    name: str
    role: str


class AnonymousFrame(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around a page for somebody who is not signed in."""

    root: str
    brand: Brand
    theme: str
    scheme: str
    csrf: str


class Shell(NamedTuple):
    """As HTML: the sidebar, the brand of the narrow top bar, and the footer."""

    side: Markup
    top: Markup
    foot: Markup


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around a page of the workspace. ``modules``: the names of those that the user sees."""

    root: str
    brand: Brand
    theme: str
    scheme: str
    csrf: str
    stream: str
    modules: tuple[str, ...]
    shell: Shell
    notices: tuple[PageNotice, ...]
    confirmation: Confirmation | None


def scheme_of(branding: TenantBranding) -> str:
    """``light`` or ``dark`` where the user chose, or else the tenant's background is dark; empty for the system's."""
    chosen = request.cookies.get(SCHEME, "")
    if chosen in SCHEMES:
        return chosen
    return "" if chosen == "system" else branding.scheme


def icon_of(state: ModuleState) -> str:
    """The icon of a module: the one that a payload or the catalog names, where there is such a one."""
    name = _ICONS.get(state.icon or "", state.icon or "")
    return name if name in _OURS else "page"

"""What stands around every page: brand, menu, notices, the user; and around the pages before signing in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from markupsafe import Markup
from quart import request

from crm_core.model.modules import ModuleState
from crm_core.records.shape import collection_of
from crm_core.web.pages.layout.branding import Brand, TenantBranding
from crm_core.web.pages.layout.parts import PageNotice

if TYPE_CHECKING:
    from crm_core.web.pages.page_context import PageContext

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What was just done; ``undo``, where there is one, is the form that takes it back."""

    text: str
    undo: Undo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """One member of one record as it was, for the form that puts it back."""

    action: str
    member: str
    value: str
    revision: int
    back: str


@dataclass(frozen=True, slots=True)
class MenuItem:
    """An item of the menu; ``name`` is what pages call themselves by."""

    name: str
    title: str
    href: str
    icon: str
    count: str | None = None


@dataclass(frozen=True, slots=True)
class MenuGroup:
    """Items under one title; the first group has none."""

    title: str
    items: tuple[MenuItem, ...]


@dataclass(frozen=True, slots=True)
class Self:
    """The user, as the menu shows it."""

    name: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymousFrame:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
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
    said: Confirmation | None


def scheme_of(look: TenantBranding) -> str:
    """``light`` or ``dark`` where the user chose, or else the tenant's background is dark; empty for the system's."""
    chosen = request.cookies.get(SCHEME, "")
    if chosen in SCHEMES:
        return chosen
    return "" if chosen == "system" else look.scheme


async def frame_of(context: PageContext, current: str, said: Confirmation | None) -> Frame:
    """The frame of a signed-in user's page."""
    services, look, caller, scheme = context.services, context.look, context.caller, scheme_of(context.look)
    assert caller.session is not None
    keys = context.keys
    shown = [state for state in context.workspace.modules.states.values() if _is_shown(state, keys)]
    types, tenant = services.registry.record_types, context.tenant
    names = [state.module.name for state in shown]
    counts = tuple([await services.backend.count(tenant, collection_of(name)) for name in names if name in types])
    key = (caller.role, caller.assignment, caller.name, current, scheme, counts)
    return Frame(
        root=context.root,
        brand=look.brand,
        theme=look.theme,
        scheme=scheme,
        csrf=services.sessions.confirmation(tenant, caller.session),
        stream=f"{context.root}/api/v1/events",
        modules=tuple(names),
        shell=context.site.shells.get(
            context.workspace, key, lambda: _shell(context, shown, counts, current=current, scheme=scheme)
        ),
        notices=tuple(_notices(context)),
        said=said,
    )


def _shell(
    context: PageContext, shown: list[ModuleState], counts: tuple[int, ...], *, current: str, scheme: str
) -> Shell:
    role, macros, brand = (
        context.workspace.roles.get(context.caller.role),
        context.site.renderer.shell,
        context.look.brand,
    )
    user = Self(context.caller.name, role.title if role else "No role")
    menu = _menu(context, shown, counts)
    return Shell(
        side=macros.side(context.root, brand, scheme, menu, current, user),
        top=macros.top(brand, scheme),
        foot=macros.foot(brand),
    )


def icon_of(state: ModuleState) -> str:
    """The icon of a module: the one that a payload or the catalog names, where there is such a one."""
    name = _ICONS.get(state.icon or "", state.icon or "")
    return name if name in _OURS else "page"


def _is_shown(state: ModuleState, keys: frozenset[str]) -> bool:
    return state.reason is None and f"{state.module.name}.view" in keys


def _menu(context: PageContext, shown: list[ModuleState], counts: tuple[int, ...]) -> tuple[MenuGroup, ...]:
    root, keys, types = context.root, context.keys, context.services.registry.record_types
    modules, numbers = [MenuItem("dashboard", "Dashboard", f"{root}/", "home")], iter(counts)
    for state in shown:
        name = state.module.name
        count = context.look.manner.number(next(numbers)) if name in types else None
        modules.append(MenuItem(name, state.title, f"{root}/{name}", icon_of(state), count))
    admin = [
        MenuItem(name, title, f"{root}/{name}", icon)
        for name, title, icon, key in (
            ("sync", "Sync console", "sync", "sync.view"),
            ("users", "Users", "shield", "users.manage"),
            ("mail", "Mail settings", "mail", "smtp.test"),
        )
        if key in keys
    ]
    you = (
        MenuItem("account", "Account", f"{root}/account", "user"),
        MenuItem("subscription", "Subscription", f"{root}/subscription", "card"),
    )
    groups = [MenuGroup("", tuple(modules)), MenuGroup("Administration", tuple(admin)), MenuGroup("You", you)]
    return tuple(group for group in groups if group.items)


def _notices(context: PageContext) -> Iterator[PageNotice]:
    """What the subscription's state asks everybody to know."""
    said = context.workspace.entitlements.subscription
    if said is None or said.state == "active":
        return
    ends = context.formats.moment(said.ends_at)
    until = f" on {ends.short}" if ends else ""
    href, link = f"{context.root}/subscription", "Subscription"
    if said.state == "trial":
        text = f"It ends{until}." if ends else "The platform says when it ends."
        yield PageNotice(tone="info", icon="info", title="This is a trial.", text=text, href=href, link=link)
    elif said.state == "past_due":
        text = f"Without it the workspace may be suspended{until}."
        yield PageNotice(tone="warn", icon="clock", title="A payment is due.", text=text, href=href, link=link)
    else:
        text = "Records can be read, not written. Who runs the platform can lift this."
        title = "The subscription is suspended."
        yield PageNotice(tone="bad", icon="pause", title=title, text=text, href=href, link=link)

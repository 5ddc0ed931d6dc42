"""The frame around a signed-in user's page: menu, notices, the user."""

from __future__ import annotations

from collections.abc import Iterator

from crm_core.model.modules import ModuleState
from crm_core.web.pages.layout.frame import Confirmation, Frame, MenuGroup, MenuItem, Self, Shell, icon_of, scheme_of
from crm_core.web.pages.layout.parts import PageNotice
from crm_core.web.pages.page_context import PageContext


async def frame_of(context: PageContext, current: str, confirmation: Confirmation | None) -> Frame:
    """The frame of a signed-in user's page."""
    services, branding, caller, scheme = context.services, context.branding, context.caller, scheme_of(context.branding)
    assert caller.session is not None
    keys = context.keys
    shown = [state for state in context.workspace.modules.states.values() if _is_shown(state, keys)]
    types, tenant = services.registry.record_types, context.tenant
    names = [state.module.name for state in shown]
    counts = tuple([await services.records.count(tenant, name) for name in names if name in types])
    key = (caller.role, caller.assignment, caller.name, current, scheme, counts)
    return Frame(
        root=context.root,
        brand=branding.brand,
        theme=branding.theme,
        scheme=scheme,
        csrf=services.sessions.csrf_token(tenant, caller.session),
        stream=f"{context.root}/api/v1/events",
        modules=tuple(names),
        shell=context.site.fragments.get(
            context.workspace, Shell, key, lambda: _shell(context, shown, counts, current=current, scheme=scheme)
        ),
        notices=tuple(_notices(context)),
        confirmation=confirmation,
    )


def _shell(
    context: PageContext, shown: list[ModuleState], counts: tuple[int, ...], *, current: str, scheme: str
) -> Shell:
    role, macros, brand = (
        context.workspace.roles.get(context.caller.role),
        context.site.renderer.shell,
        context.branding.brand,
    )
    user = Self(context.caller.name, role.title if role else "No role")
    menu = _menu(context, shown, counts)
    return Shell(
        side=macros.side(context.root, brand, scheme, menu, current, user),
        top=macros.top(brand, scheme),
        foot=macros.foot(brand),
    )


def _is_shown(state: ModuleState, keys: frozenset[str]) -> bool:
    return state.reason is None and f"{state.module.name}.view" in keys


def _menu(context: PageContext, shown: list[ModuleState], counts: tuple[int, ...]) -> tuple[MenuGroup, ...]:
    root, keys, types = context.root, context.keys, context.services.registry.record_types
    modules, numbers = [MenuItem("dashboard", "Dashboard", f"{root}/", "home")], iter(counts)
    for state in shown:
        name = state.module.name
        count = context.formats.number(next(numbers)) if name in types else None
        modules.append(MenuItem(name, state.title, f"{root}/{name}", icon_of(state), count))
    admin = [
        MenuItem(name, title, f"{root}/{name}", icon)
        for name, title, icon, key in (
            ("sync", "Sync console", "sync", "sync.view"),
            ("users", "Users", "shield", "users.manage"),
            ("mail", "Email settings", "mail", "smtp.test"),
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
    """The notice of a subscription that is not simply active."""
    subscription = context.workspace.entitlements.subscription
    if subscription is None or subscription.state == "active":
        return
    ends = context.formats.moment(subscription.ends_at)
    until = f" on {ends.short}" if ends else ""
    href, link = f"{context.root}/subscription", "Subscription"
    if subscription.state == "trial":
        text = f"It ends{until}." if ends else "Your platform operator can say when it ends."
        yield PageNotice(tone="info", icon="info", title="This is a trial.", text=text, href=href, link=link)
    elif subscription.state == "past_due":
        text = f"Without it, the workspace may be suspended{until}."
        yield PageNotice(tone="warn", icon="clock", title="A payment is due.", text=text, href=href, link=link)
    else:
        text = "You can read records but not change them. Your platform operator can lift this."
        title = "Your subscription is suspended."
        yield PageNotice(tone="bad", icon="pause", title=title, text=text, href=href, link=link)

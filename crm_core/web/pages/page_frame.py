"""The frame around a signed-in user's page: menu, notices, the user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from markupsafe import Markup

from crm_core.language import gettext, label_of
from crm_core.model.modules import ModuleState
from crm_core.records.list_query import Parameters
from crm_core.web.pages.layout.frame import (
    FrameParts,
    MenuGroup,
    MenuItem,
    MenuUser,
    WorkspaceFrame,
    icon_of,
    scheme_of,
    title_of,
)
from crm_core.web.pages.layout.parts import PageNotice
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.records.queries import total_of


class OpenCount(NamedTuple):
    """A number of records; ``due``: it is of those that the user has to do by today."""

    number: int
    due: bool = False


Counted = tuple[ModuleState, OpenCount | None]
"""A module with its count, if it has one."""


async def frame_of(context: PageContext, current: str) -> FrameParts:
    """The frame of a signed-in user's page."""
    caller, scheme, notices = context.caller, scheme_of(context.branding), tuple(_notices(context))
    modules = [(state, await _open_count(context, state.module.name)) for state in _visible(context)]
    counts = tuple(count for _, count in modules)
    key = (caller.id, caller.role, caller.assignment, caller.name, current, scheme, counts, notices)

    def made() -> FrameParts:
        return _rendered(context, modules, notices, current, scheme)

    return context.site.fragments.get(context.workspace, FrameParts, key, made)


def _rendered(
    context: PageContext, modules: list[Counted], notices: tuple[PageNotice, ...], current: str, scheme: str
) -> FrameParts:
    role = context.workspace.roles.get(context.caller.role)
    frame = WorkspaceFrame(
        root=context.root,
        brand=context.branding.brand,
        theme=context.branding.theme,
        scheme=scheme,
        stream=f"{context.root}/api/v1/events",
        modules=tuple(state.module.name for state, _ in modules),
        menu=_menu(context, modules),
        current=current,
        user=MenuUser(context.caller.id, context.caller.name, label_of(role.title) if role else gettext("No role")),
        notices=notices,
    )
    return FrameParts(*map(Markup, context.site.renderer.cut("workspace.html", frame=frame)))


def _visible(context: PageContext) -> Iterator[ModuleState]:
    keys = context.keys
    for state in context.workspace.modules.states.values():
        if state.reason is None and f"{state.module.name}.view" in keys:
            yield state


async def _open_count(context: PageContext, module: str) -> OpenCount | None:
    """My tasks that are due, the open records of a type with a PIPELINE, all records of any other type.

    Only indexes are read, and a backend may cache the answer until a record of the type changes.
    """
    record_type = context.services.registry.record_types.get(module)
    if record_type is None:
        return None
    due, pipeline, caller = record_type.DUE, record_type.PIPELINE, context.caller
    if record_type.OWNER and due and due.done:
        me = tuple(filter(None, (caller.email, caller.name)))
        today = context.formats.now.date().isoformat()
        mine: Parameters = {record_type.OWNER: me, due.done: "false", f"{due.day}.lte": today}
        return OpenCount(await total_of(context, module, mine), due=True)
    if pipeline:
        ended = pipeline.won + pipeline.lost
        stages = (value for value, _ in record_type.member(pipeline.stage).choices if value not in ended)
        # One by one: the number of rows with one value is in an index, that of several has to be gathered.
        return OpenCount(sum([await total_of(context, module, {pipeline.stage: one}) for one in stages]))
    return OpenCount(await context.services.records.count(context.tenant, module))


def _menu(context: PageContext, shown: list[Counted]) -> tuple[MenuGroup, ...]:
    root, keys = context.root, context.keys
    modules = [MenuItem("dashboard", gettext("Dashboard"), f"{root}/", "home")]
    for state, count in shown:
        name, number = state.module.name, None if count is None else context.formats.number(count.number)
        due = None if count is None or not count.due else count.number > 0
        modules.append(MenuItem(name, title_of(state), f"{root}/{name}", icon_of(state), number, due))
    admin = [
        MenuItem(name, title, f"{root}/{name}", icon)
        for name, title, icon, key in (
            ("sync", gettext("Sync console"), "sync", "sync.view"),
            ("users", gettext("Users"), "shield", "users.manage"),
            ("tokens", gettext("API tokens"), "key", "users.manage"),
            ("mail", gettext("Email settings"), "mail", "smtp.test"),
        )
        if key in keys
    ]
    you = (
        MenuItem("account", gettext("Account"), f"{root}/account", "user"),
        MenuItem("subscription", gettext("Subscription"), f"{root}/subscription", "card"),
    )
    groups = [
        MenuGroup("", tuple(modules)),
        MenuGroup(gettext("Administration"), tuple(admin)),
        MenuGroup(gettext("You"), you),
    ]
    return tuple(group for group in groups if group.items)


def _notices(context: PageContext) -> Iterator[PageNotice]:
    """The notice of a subscription that is not simply active."""
    subscription = context.workspace.entitlements.subscription
    if subscription is None or subscription.state == "active":
        return
    ends = context.formats.moment(subscription.ends_at)
    if subscription.state == "trial":
        tone, icon, title = "info", "info", gettext("This is a trial.")
        text = gettext("Your platform operator can say when it ends.")
        if ends:
            text = gettext("It ends on {day}.", day=ends.short)
    elif subscription.state == "past_due":
        tone, icon, title = "warn", "clock", gettext("A payment is due.")
        text = gettext("Without it, the workspace may be suspended.")
        if ends:
            text = gettext("Without it, the workspace may be suspended on {day}.", day=ends.short)
    else:
        tone, icon, title = "bad", "pause", gettext("Your subscription is suspended.")
        text = gettext("You can read records but not change them. Your platform operator can lift this.")
    href = f"{context.root}/subscription"
    yield PageNotice(tone=tone, icon=icon, title=title, text=text, href=href, link=gettext("Subscription"))

"""The subscription: plan, state, modules and limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Final

import msgspec

from crm_core.language import gettext, gettext_noop, label_of
from crm_core.web.pages.browser import Response
from crm_core.web.pages.layout.frame import title_of
from crm_core.web.pages.layout.labels import as_phrase
from crm_core.web.pages.layout.parts import Mark
from crm_core.web.pages.layout.rendering import PageView
from crm_core.web.pages.layout.rights import action_label
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.refusals import reason_text

_STATES: Final = {
    "active": (
        "ok",
        "check",
        gettext_noop("Active: the whole plan is available"),
        (gettext_noop("No action is needed."),),
    ),
    "trial": (
        "ok",
        "clock",
        gettext_noop("Trial: the whole plan is available"),
        (gettext_noop("Your platform operator can turn it into a plan."),),
    ),
    "past_due": (
        "warn",
        "clock",
        gettext_noop("Past due: a payment is missing"),
        (gettext_noop("Everything still works. Pay to keep it that way."),),
    ),
    "suspended": (
        "idle",
        "pause",
        gettext_noop("Suspended: records are read-only"),
        (
            gettext_noop("You can read and export records, not create or change them."),
            gettext_noop("Your platform operator can lift this."),
        ),
    ),
}
"""Tone, icon, title and lines of each state of a subscription."""


class ModuleRow(msgspec.Struct, frozen=True):
    """A module, and whether the plan includes it."""

    title: str
    why: str
    mark: Mark


class Limit(msgspec.Struct, frozen=True):
    """A limit and its use; ``share`` is a percentage."""

    title: str
    used: str
    most: str
    share: int


async def subscription(context: PageContext) -> Response:
    """The subscription."""
    return await page(context, "subscription", await _view(context))


async def _view(context: PageContext) -> PageView:
    workspace = context.workspace
    subscription = workspace.entitlements.subscription
    tone, icon, title, lines = _STATES[subscription.state if subscription else "active"]
    pushed = [one.stored.applied_at for one in workspace.readings.values() if one.meaning.entitlements is not None]
    return PageView(
        "subscription.html",
        tone=tone,
        icon=icon,
        title=gettext(title),
        lines=tuple(map(gettext, lines)),
        plan=workspace.plan_name,
        ends=context.formats.moment(subscription.ends_at) if subscription else None,
        pushed=context.formats.moment(max(pushed, default=None)),
        modules=tuple(_modules(context)),
        limits=tuple([limit async for limit in _limits(context)]),
    )


def _modules(context: PageContext) -> Iterator[ModuleRow]:
    for state in context.workspace.modules.states.values():
        if state.reason is None:
            actions = [action_label(key) for key in state.module.features if key in context.workspace.modules.allowed]
            yield ModuleRow(title_of(state), as_phrase(actions, str.lower), Mark("ok", "check", gettext("Included")))
            continue
        why = reason_text(context.workspace, state.reason)
        if state.module.name in context.workspace.catalog.blocked:
            why = gettext("This instance's policy blocks it. No push can enable it.")
        yield ModuleRow(title_of(state), why, Mark("idle", "lock", gettext("Not available")))


async def _limits(context: PageContext) -> AsyncIterator[Limit]:
    number, users, records = context.formats.number, context.services.users, context.services.records
    for name, most in sorted(context.workspace.entitlements.limits.items()):
        used = await (users.count(context.tenant) if name == "users" else records.count(context.tenant, name))
        state = context.workspace.modules.states.get(name)
        title = title_of(state) if state else label_of(name.capitalize())
        share = 100 if most == 0 else min(100, round(100 * used / most))
        yield Limit(title, number(used), number(most), share)

"""The page of a module without records: what it is, and what the user may do with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from crm_core.language import gettext, gettext_noop, label_of, noun
from crm_core.web.pages.browser import Response
from crm_core.web.pages.layout.frame import icon_of, title_of
from crm_core.web.pages.page_answers import page
from crm_core.web.pages.page_context import PageContext

_ACTIONS: Final = {
    "view": gettext_noop("View"),
    "create": gettext_noop("Create"),
    "update": gettext_noop("Change"),
    "delete": gettext_noop("Archive"),
    "export": gettext_noop("Export"),
    "edit": gettext_noop("Edit"),
}


class ModuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A module for its page."""

    module: str
    title: str
    icon: str
    rights: str


async def module_page(context: PageContext, module: str) -> Response:
    """The page of a module without records."""
    state = context.workspace.modules.states[module]
    rights = [action_label(key) for key in state.module.features if key in context.keys]
    view = ModuleView(module=module, title=title_of(state), icon=icon_of(state), rights=as_phrase(rights, str.lower))
    return await page(context, "module.html", module, view)


def action_label(key: str) -> str:
    """The action of a feature key as a word."""
    action = key.partition(".")[2]
    return gettext(_ACTIONS[action]) if action in _ACTIONS else label_of(action.replace("_", " ").capitalize())


def action_of(key: str, title: str) -> str:
    """A feature key as a phrase: ``Create customers``."""
    return gettext("{action} {things}", action=action_label(key), things=noun(title))


def as_phrase(words: list[str], within: Callable[[str], str] = noun) -> str:
    """Words as one phrase: ``See, create and change``; ``within``: how a word is written inside a sentence."""
    lower = [word if at == 0 else within(word) for at, word in enumerate(words)]
    if len(lower) < 2:
        return "".join(lower)
    return gettext("{words} and {last}", words=", ".join(lower[:-1]), last=lower[-1])

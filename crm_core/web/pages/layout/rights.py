"""Rights in the words of the page of users, in place of their keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from crm_core.language import gettext, gettext_noop, label_of, localized, noun
from crm_core.web.pages.layout.frame import title_of
from crm_core.workspace import Workspace

_ACTIONS: Final[Mapping[str, str]] = {
    "view": gettext_noop("View"),
    "create": gettext_noop("Create"),
    "update": gettext_noop("Change"),
    "delete": gettext_noop("Archive"),
    "export": gettext_noop("Export"),
    "edit": gettext_noop("Edit"),
}
_CORE: Final[Mapping[str, str]] = {
    "records.erase": gettext_noop("Erase records"),
    "sync.restore": gettext_noop("Restore revisions"),
    "sync.view": gettext_noop("See the sync console"),
    "smtp.test": gettext_noop("Send test emails"),
    "users.manage": gettext_noop("Manage users"),
}
_KEY: Final = re.compile(r"[a-z][a-z0-9_-]*\.[a-z][a-z0-9_]*")


def action_label(key: str) -> str:
    """The action of a feature key as a word."""
    action = key.partition(".")[2]
    return gettext(_ACTIONS[action]) if action in _ACTIONS else label_of(action.replace("_", " ").capitalize())


def right_name(workspace: Workspace, key: str) -> str:
    """The right that a key names, such as ``Create customers``; the key itself if the workspace does not know it."""
    if key in _CORE:
        return gettext(_CORE[key])
    state = workspace.modules.states.get(key.partition(".")[0])
    if state is None or key not in state.module.features:
        return key
    return gettext("{action} {things}", action=action_label(key), things=noun(title_of(state)))


def reason_in_words(workspace: Workspace, detail: str) -> str:
    """The detail of a refusal in the current language, with the names of rights in place of their keys."""

    def quoted(found: re.Match[str]) -> str:
        name = right_name(workspace, found[0])
        return found[0] if name == found[0] else gettext("“{right}”", right=name)

    return localized(_KEY.sub(quoted, detail))

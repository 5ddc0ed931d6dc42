"""The plugins of the instance, as the console lists them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from crm_core.language import gettext, gettext_noop
from crm_core.web.pages.layout.parts import Mark
from crm_core.web.pages.page_context import PageContext
from crm_core.web.pages.sync.console_view import PluginRow

_PLUGIN_STATES: Final = {
    "active": gettext_noop("Active"),
    "disabled": gettext_noop("Disabled"),
    "broken": gettext_noop("Broken"),
}
_KINDS: Final = {
    "payload type": gettext_noop("payload type"),
    "record type": gettext_noop("record type"),
    "signature scheme": gettext_noop("signature scheme"),
    "storage backend": gettext_noop("storage backend"),
}


def plugin_rows(context: PageContext) -> Iterator[PluginRow]:
    """Each plugin with what it provides, or why it is broken."""
    brought = context.services.registry.brought()
    for plugin in context.services.host.plugins:
        state = gettext(_PLUGIN_STATES[plugin.state])
        mark = Mark("bad", "x", state) if plugin.error else Mark("ok", "check", state)
        parts = [f"{gettext(_KINDS.get(kind, kind))} {name}" for kind, name in brought.get(plugin.name, ())]
        yield PluginRow(plugin.name, plugin.version, ", ".join(parts) or gettext("hooks"), mark, plugin.error or "")

"""The plugins that an instance runs: the installed ones and the lone files of its folders, without disabled ones.

``crm_core.settings`` does not export it: the manager reads settings and loads no plugins.
"""

from __future__ import annotations

from crm_core.plugin.door import OnFailure
from crm_core.plugin.host import PluginHost
from crm_core.settings.instance import InstanceSettings


def load_plugins(settings: InstanceSettings | None = None, on_failure: OnFailure | None = None) -> PluginHost:
    """The plugins of an instance; without settings, all installed ones. ``broken`` has those that cannot be used."""
    host = PluginHost(settings.plugins.disabled if settings else (), on_failure)
    host.load_entry_points()
    for folder in settings.plugins.folders if settings else ():
        host.load_folder(folder)
    return host

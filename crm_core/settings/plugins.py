"""Which plugins an instance runs: every installed one, and the lone files of its folders, less the disabled.

Not part of what ``crm_core.settings`` hands on: the manager reads settings and loads no plugin.
"""

from __future__ import annotations

from crm_core.plugin.door import OnFailure
from crm_core.plugin.host import PluginHost
from crm_core.settings.instance import InstanceSettings


def load_plugins(settings: InstanceSettings | None = None, on_failure: OnFailure | None = None) -> PluginHost:
    """The plugins of an instance; without settings, every installed one. What cannot be used is in ``broken``."""
    host = PluginHost(settings.plugins.disabled if settings else (), on_failure)
    host.load_entry_points()
    for folder in settings.plugins.folders if settings else ():
        host.load_folder(folder)
    return host

"""The files an admin edits, read into frozen values; every problem reads ``file:line:column: what; how to fix it``.

``places`` and ``document`` parse files with positions, ``reading`` and ``secrets`` read typed values. Each file has a
module (``instance``, ``options``, ``roster``, ``catalog``, ``roles``, ``instances``), ``check`` checks all together.
``installation`` loads what instance.yaml names, ``configuration`` has the files in effect, ``reload`` follows edits.
The first two are not exported: the manager reads settings and loads no plugins.
"""

from __future__ import annotations

from crm_core.settings.catalog import built_in_catalog, load_catalog
from crm_core.settings.check import check
from crm_core.settings.examples import example
from crm_core.settings.instance import (
    InstanceSettings,
    Listen,
    PluginSettings,
    StorageSettings,
    load_instance,
    load_instance_outline,
)
from crm_core.settings.instances import InstancesSettings, UpstreamAddress, load_instances
from crm_core.settings.options import read_options
from crm_core.settings.reload import Watched
from crm_core.settings.roles import built_in_roles, load_roles
from crm_core.settings.roster import load_roster, load_roster_outline
from crm_core.settings.secrets import Secrets
from crm_core.settings.sync import SyncSettings

__all__ = [
    "InstanceSettings",
    "InstancesSettings",
    "Listen",
    "PluginSettings",
    "Secrets",
    "StorageSettings",
    "SyncSettings",
    "UpstreamAddress",
    "Watched",
    "built_in_catalog",
    "built_in_roles",
    "check",
    "example",
    "load_catalog",
    "load_instance",
    "load_instance_outline",
    "load_instances",
    "load_roles",
    "load_roster",
    "load_roster_outline",
    "read_options",
]

"""A tenant's workspace as one immutable value: its sections, and what follows from them.

``snapshot`` is the value, ``views`` keeps it until revision or configuration move, ``rights`` says what a caller may do
in it, ``sealing`` keeps the secrets of its sections. Sync, records, access and web build on this; nothing here writes.
"""

from __future__ import annotations

from crm_core.workspace.rights import keys_of, may, require, require_scope
from crm_core.workspace.section import Section
from crm_core.workspace.snapshot import Workspace
from crm_core.workspace.views import ModuleConfiguration, Views

__all__ = [
    "ModuleConfiguration",
    "Section",
    "Views",
    "Workspace",
    "keys_of",
    "may",
    "require",
    "require_scope",
]

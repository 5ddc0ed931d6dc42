"""A tenant's workspace as one immutable value: its sections, and what follows from them.

``snapshot`` defines the value, ``views`` caches it by revision and configuration, ``rights`` checks what a caller may
do in it, ``sealing`` encrypts the secrets of its sections. Nothing here writes to the store.
"""

from __future__ import annotations

from crm_core.workspace.rights import keys_of, may, require, require_scope
from crm_core.workspace.section import Section
from crm_core.workspace.snapshot import Workspace
from crm_core.workspace.views import ModuleConfiguration, Views

__all__ = ["ModuleConfiguration", "Section", "Views", "Workspace", "keys_of", "may", "require", "require_scope"]

"""Register the ``workspace`` payload type."""

from __future__ import annotations

from crm_core.plugin import hookimpl
from crm_core.plugin.payload import PayloadType
from crm_workspace.payload import WorkspaceType


@hookimpl
def crm_register_payload_types() -> list[PayloadType]:
    """Offer pushes of ``workspace``."""
    return [WorkspaceType()]

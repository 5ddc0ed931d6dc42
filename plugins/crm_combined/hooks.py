"""Register the ``combined`` payload type."""

from __future__ import annotations

from crm_combined.payload import CombinedType
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import PayloadType


@hookimpl
def crm_register_payload_types() -> list[PayloadType]:
    """Offer pushes of ``combined``."""
    return [CombinedType()]

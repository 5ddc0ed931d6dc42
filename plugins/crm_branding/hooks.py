"""Register the ``branding`` payload type."""

from __future__ import annotations

from crm_branding.payload import BrandingType
from crm_core.plugin import hookimpl
from crm_core.plugin.payload import PayloadType


@hookimpl
def crm_register_payload_types() -> list[PayloadType]:
    """Offer pushes of ``branding``."""
    return [BrandingType()]

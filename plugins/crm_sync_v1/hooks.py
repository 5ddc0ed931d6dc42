"""Register the native signature scheme."""

from __future__ import annotations

from crm_core.plugin import hookimpl
from crm_core.plugin.signature import SignatureScheme
from crm_sync_v1.scheme import NativeScheme


@hookimpl
def crm_register_signature_schemes() -> list[SignatureScheme]:
    """Offer ``schemes: [crm-sync-v1]``."""
    return [NativeScheme()]

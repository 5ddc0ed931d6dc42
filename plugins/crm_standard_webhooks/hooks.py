"""Register the scheme of Standard Webhooks."""

from __future__ import annotations

from crm_core.plugin import hookimpl
from crm_core.plugin.signature import SignatureScheme
from crm_standard_webhooks.scheme import StandardWebhooks


@hookimpl
def crm_register_signature_schemes() -> list[SignatureScheme]:
    """Offer ``schemes: [standard-webhooks]``."""
    return [StandardWebhooks()]

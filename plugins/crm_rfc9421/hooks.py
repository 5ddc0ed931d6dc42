"""Register the scheme of RFC 9421."""

from __future__ import annotations

from crm_core.plugin import hookimpl
from crm_core.plugin.signature import SignatureScheme
from crm_rfc9421.scheme import MessageSignatures


@hookimpl
def crm_register_signature_schemes() -> list[SignatureScheme]:
    """Offer ``schemes: [rfc9421]``."""
    return [MessageSignatures()]

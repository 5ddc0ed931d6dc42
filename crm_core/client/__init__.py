"""For platforms: sign, push, preview and read health, plain or on an event loop.

::

    target = Target.at("https://crm.example/i/eu1/t/northwind")
    with Client(target, native_signer(key, key_version=2)) as client:
        outcome = client.push("branding", {"title": "Nordwind"})

``apply_tenants`` brings many tenants to a desired state. ``exchange`` has the requests and reads the answers,
``transport`` sends them. Nothing of the server is imported.
"""

from __future__ import annotations

from crm_core.client.answers import ClientError, Health, NotAReceiver, Outcome, Refused, SectionHealth, Unanswered
from crm_core.client.desired import ApplyOptions, DesiredTenant, TenantResult
from crm_core.client.exchange import Pause, Platform, ReadyRequest, Retries, Strategy, envelope
from crm_core.client.fleet import apply_tenants
from crm_core.client.signing import Signer, Unsigned, health_of, native_signer, private_key_signer, push_to
from crm_core.client.target import ReceiverUrl, Target
from crm_core.client.transport import AsyncClient, Client, fresh_nonce

__all__ = [
    "ApplyOptions",
    "AsyncClient",
    "Client",
    "ClientError",
    "DesiredTenant",
    "Health",
    "NotAReceiver",
    "Outcome",
    "Pause",
    "Platform",
    "ReadyRequest",
    "ReceiverUrl",
    "Refused",
    "Retries",
    "SectionHealth",
    "Signer",
    "Strategy",
    "Target",
    "TenantResult",
    "Unanswered",
    "Unsigned",
    "apply_tenants",
    "envelope",
    "fresh_nonce",
    "health_of",
    "native_signer",
    "private_key_signer",
    "push_to",
]

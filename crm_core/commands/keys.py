"""Commands on the keys that platforms sign with."""

from __future__ import annotations

import msgspec

from crm_core.errors import StorageUnavailable
from crm_core.model.times import to_wire
from crm_core.services import Services


async def uses(services: Services, tenants: list[str]) -> dict[str, object]:
    """When each key was last used and how often, by tenant and key version, without tenants that do not exist.

    None for a tenant whose log is incomplete or cannot be read: a key that seems unused may have been used.
    """
    existing = set(await services.backend.tenants())
    return {tenant: await _uses(services, tenant) for tenant in tenants if tenant in existing}


async def _uses(services: Services, tenant: str) -> dict[str, object] | None:
    if (await services.backend.state(tenant)).mode == "quarantined":
        return None
    try:
        tally = await services.backend.tally(tenant, to_wire(services.now()))
    except StorageUnavailable:
        return None
    return {str(version): msgspec.to_builtins(use) for version, use in tally.keys.items()}


COMMANDS = {"uses": uses}

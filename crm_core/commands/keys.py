"""Commands on the keys that platforms sign with."""

from __future__ import annotations

from typing import Any

import msgspec

from crm_core.model.times import to_wire
from crm_core.services import Services


async def uses(services: Services, tenants: list[str]) -> dict[str, Any]:
    """When each key was last used and how often, by tenant and key version; tenants without a store are left out."""
    existing = set(await services.backend.tenants())
    since = to_wire(services.now())
    return {
        tenant: {
            str(version): msgspec.to_builtins(use)
            for version, use in (await services.backend.tally(tenant, since)).keys.items()
        }
        for tenant in tenants
        if tenant in existing
    }


COMMANDS = {"uses": uses}
"""Each by its name behind the dot."""

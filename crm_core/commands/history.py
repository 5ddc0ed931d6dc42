"""Commands on the applied revisions of a section."""

from __future__ import annotations

from typing import Any

import msgspec

from crm_core.services import Services
from crm_core.sync.apply import Applied

CONSOLE = "console"  # who asks where a command does


async def listed(services: Services, tenant: str, section: str, limit: int) -> dict[str, Any]:
    """The newest revisions, newest first, without their data."""
    await services.views.of(tenant)  # an unknown tenant is told as such
    items, _ = await services.history.page(tenant, section, limit=limit, cursor=None)
    shown = msgspec.to_builtins(items)
    return {
        "items": [
            {name: value for name, value in item.items() if name not in ("data", "fingerprint")} for item in shown
        ]
    }


def _shown(applied: Applied) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(applied)
    return {name: value for name, value in told.items() if name not in ("data", "fingerprint")}


async def restore(services: Services, tenant: str, section: str, revision: int, *, preview: bool) -> dict[str, Any]:
    """Make an earlier revision a new one, or say what that would change."""
    receipt = await services.history.restore(
        tenant, section, revision, actor=CONSOLE, request_id=services.ids.new(), preview=preview
    )
    told: dict[str, Any] = msgspec.to_builtins(receipt)
    return told


COMMANDS = {"list": listed, "restore": restore}
"""Each by its name behind the dot."""

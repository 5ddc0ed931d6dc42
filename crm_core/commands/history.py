"""Commands on the applied revisions of a section."""

from __future__ import annotations

import msgspec

from crm_core.services import Services
from crm_core.sync.revisions import Applied

CONSOLE = "console"  # the actor of commands


async def listed(services: Services, tenant: str, section: str, limit: int) -> dict[str, object]:
    """The newest revisions, newest first, without their data."""
    await services.views.of(tenant)  # raises UnknownTenant
    items, _ = await services.history.page(tenant, section, limit=limit, cursor=None)
    return {"items": [_without_data(item) for item in items]}


def _without_data(applied: Applied) -> dict[str, object]:
    members: dict[str, object] = msgspec.to_builtins(applied)
    return {name: value for name, value in members.items() if name not in ("data", "fingerprint")}


async def restore(services: Services, tenant: str, section: str, revision: int, *, preview: bool) -> dict[str, object]:
    """Restore an earlier revision as a new one, or preview that."""
    receipt = await services.history.restore(
        tenant, section, revision, actor=CONSOLE, request_id=services.ids.new(), preview=preview
    )
    members: dict[str, object] = msgspec.to_builtins(receipt)
    return members


COMMANDS = {"list": listed, "restore": restore}

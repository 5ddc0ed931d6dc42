"""Commands on the applied revisions of a section."""

from __future__ import annotations

import msgspec

from crm_core.services import Services

CONSOLE = "console"  # the actor of commands
_OF_THE_API = ("section", "revision", "version", "applied_at", "key_version", "actor", "request_id", "changes")
_MEMBERS = (*_OF_THE_API, "payload_type")


async def listed(services: Services, tenant: str, section: str, limit: int) -> dict[str, object]:
    """The newest revisions, newest first, without their data."""
    await services.views.of(tenant)  # raises UnknownTenant
    items, _ = await services.history.page(tenant, section, limit=limit, cursor=None)
    return {"items": [{name: msgspec.to_builtins(getattr(item, name)) for name in _MEMBERS} for item in items]}


async def restore(services: Services, tenant: str, section: str, revision: int, *, preview: bool) -> dict[str, object]:
    """Restore an earlier revision as a new one, or preview that."""
    receipt = await services.history.restore(
        tenant, section, revision, actor=CONSOLE, request_id=services.ids.new(), preview=preview
    )
    members: dict[str, object] = msgspec.to_builtins(receipt)
    return members


COMMANDS = {"list": listed, "restore": restore}

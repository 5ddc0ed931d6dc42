"""Commands that create, list and change tenants."""

from __future__ import annotations

from typing import Any

from crm_core.errors import SetupError
from crm_core.model.names import is_name
from crm_core.services import Services


async def create(services: Services, tenant: str) -> dict[str, Any]:
    """Create an empty tenant. Raises SetupError: it exists, or the name is invalid."""
    if not is_name(tenant):
        raise SetupError(
            [f"{tenant!a} is not a tenant name: use 1 to 63 of a-z, 0-9 and -, and no - at the start or end"]
        )
    await services.backend.create(tenant)
    services.views.forget(tenant)  # the folder of an earlier one may have been moved away
    return {"tenant": tenant}


async def names(services: Services) -> dict[str, Any]:
    """Every tenant with its revision and the state of its store."""
    return {"tenants": [await state(services, tenant) for tenant in await services.backend.tenants()]}


async def unstored(services: Services) -> dict[str, Any]:
    """A warning for each roster entry whose tenant does not exist."""
    stored = set(await services.backend.tenants())
    return {
        "warnings": [
            f"keys.yaml has an entry for {tenant}, but there is no such tenant; crm tenant create {tenant} creates it"
            for tenant in sorted(services.configured.roster.tenants)
            if tenant not in stored
        ]
    }


async def show(services: Services, tenant: str) -> dict[str, Any]:
    """One tenant: revision, sections with version, modules, counts."""
    workspace, view = await services.views.with_view(tenant)
    found = await services.backend.state(tenant)
    return {
        "tenant": tenant,
        "revision": workspace.revision,
        "mode": found.mode,
        "reason": found.reason,
        "sections": {
            name: {
                "version": section.version,
                "revision": section.revision,
                "applied_at": section.applied_at,
                "sha256": section.sha256,
            }
            for name, section in sorted(workspace.sections.items())
        },
        "modules": workspace.module_states(),
        "log_head": {"seq": view.head.seq, "hash": view.head.hash},
    }


async def state(services: Services, tenant: str) -> dict[str, Any]:
    """Whether a tenant's store accepts writes, and if not, why."""
    found = await services.backend.state(tenant)
    return {"tenant": tenant, "mode": found.mode, "reason": found.reason}


async def reset_version(services: Services, tenant: str, section: str) -> dict[str, Any]:
    """Forget the floor of a section's versions, after a platform's mistake."""
    return {"tenant": tenant, "section": section, "was": await services.history.reset_version(tenant, section)}


COMMANDS = {
    "create": create,
    "list": names,
    "unstored": unstored,
    "show": show,
    "state": state,
    "reset-version": reset_version,
}

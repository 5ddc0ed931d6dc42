"""Commands that create, list and change tenants."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from crm_core.access.copied_store import keep_access
from crm_core.commands.store import missing, only, renamed_for_removal
from crm_core.errors import SetupError
from crm_core.model.names import is_name
from crm_core.plugin.query import StoreState
from crm_core.services import Services

_TOGETHER = 16  # tenants created at the same time


async def creatable(services: Services, tenants: list[str]) -> dict[str, object]:
    """Return which of the tenants are ``known``. Raises SetupError if a name is invalid or taken.

    A single known one may be created: the backend knows if its old folder was moved away.
    """
    stored = set(await services.backend.tenants())
    known = [name for name in tenants if name in stored]
    problems = [
        f"{name[:80]!a} is not a tenant name: use 1 to 63 of a-z, 0-9 and -, and no - at the start or end"
        for name in tenants
        if not is_name(name)
    ]
    problems += [f"{name[:80]!a} is listed twice" for name, times in Counter(tenants).items() if times > 1]
    if len(tenants) > 1:
        problems += [f"tenant {name} exists already: choose another name" for name in known]
    if problems:
        raise SetupError(problems if len(tenants) == 1 else [*problems, "no tenant was created; correct the names"])
    return {"known": known}


async def create(services: Services, tenants: list[str]) -> AsyncIterator[dict[str, object]]:
    """Create empty tenants; an item for each. Raises SetupError, and creates none, if a name is invalid or taken."""
    await creatable(services, tenants)
    for start in range(0, len(tenants), _TOGETHER):
        batch = tenants[start : start + _TOGETHER]
        outcomes = await asyncio.gather(*map(services.backend.create, batch), return_exceptions=True)
        for tenant, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                services.views.forget(tenant)  # the folder of an earlier one may have been moved away
                yield {"tenant": tenant}
        if failed := [outcome for outcome in outcomes if outcome is not None]:
            raise failed[0]


async def remove(services: Services, tenant: str, backup: str | None) -> AsyncIterator[dict[str, object]]:
    """Remove a tenant, after a backup to a new file (an absolute path) unless None; one item.

    It is renamed first, so that no request changes it after the backup, and renamed back if the backup fails.
    """
    gone = renamed_for_removal(tenant)
    if await services.backend.has(gone) and await services.backend.has(tenant):
        raise SetupError([f"an interrupted removal left {gone}: crm tenant remove {gone}, or move it to another name"])
    if backup is not None:
        _make_folder(Path(backup).parent)
        await keep_access(services.backend, tenant, tenant, services.now())  # a restore must know whose they are
    await _rename(services, tenant, gone)
    if backup is not None:
        try:
            await services.backend.backup(gone, Path(backup))
        except BaseException:
            await _rename(services, gone, tenant)
            raise
    await services.backend.remove(gone)
    return only({"tenant": tenant, "backup": backup})


def _make_folder(folder: Path) -> None:
    """Make a folder (0700) unless it is there: as the user who writes into it. Raises SetupError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        problem = f"{folder} cannot be created: {error.strerror}"
        raise SetupError([f"{problem}; make a backup elsewhere with crm tenant backup, then add --no-backup"]) from None


async def _rename(services: Services, old: str, new: str) -> None:
    await services.backend.rename(old, new)
    services.views.forget(old)
    services.views.forget(new)


async def names(services: Services) -> dict[str, object]:
    """Every tenant with the known state of its store, without opening any."""
    troubled = await services.backend.troubled()
    return {"tenants": [_known(name, troubled.get(name)) for name in await services.backend.tenants()]}


def _known(tenant: str, state: StoreState | None) -> dict[str, object]:
    state = state or StoreState()
    return {"tenant": tenant, "mode": state.mode, "reason": state.reason}


async def unstored(services: Services) -> dict[str, list[str]]:
    """A warning for each roster entry whose tenant does not exist."""
    return {"warnings": [f"{tenant}: {why}" for tenant, why in (await missing(services)).items()]}


async def show(services: Services, tenant: str) -> dict[str, object]:
    """One tenant: revision, sections with version, modules, counts."""
    workspace, view = await services.views.with_view(tenant)
    state = await services.backend.state(tenant)
    return {
        "tenant": tenant,
        "revision": workspace.revision,
        "mode": state.mode,
        "reason": state.reason,
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
        "entitlements": {
            place: {"section": name, "plugin": services.registry.calls.owner(name)}
            for place, name in workspace.combined.sources.items()
        },
        "log_head": {"seq": view.head.seq, "hash": view.head.hash},
    }


async def state(services: Services, tenant: str) -> dict[str, object]:
    """Whether a tenant's store accepts writes, and if not, why."""
    return _known(tenant, await services.backend.state(tenant))


async def reset_version(services: Services, tenant: str, section: str) -> dict[str, object]:
    """Forget the floor of a section's versions, after a platform's mistake."""
    return {"tenant": tenant, "section": section, "was": await services.history.reset_version(tenant, section)}


COMMANDS = {
    "creatable": creatable,
    "create": create,
    "remove": remove,
    "list": names,
    "unstored": unstored,
    "show": show,
    "state": state,
    "reset-version": reset_version,
}

"""Commands on tenants' stores: fold, back up, restore, rename, check."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path

from crm_core.access.copied_store import end_foreign_access, keep_access
from crm_core.errors import CrmError, InternalError, SetupError
from crm_core.services import Services
from crm_core.sync.health_reasons import orphan_sentence


async def fold(services: Services, tenants: list[str]) -> AsyncIterator[dict[str, object]]:
    """Fold the named tenants, or all; an item for each. Raises UnknownTenant before the first."""
    for tenant in tenants:
        await services.backend.state(tenant)
    for tenant in tenants or await services.backend.tenants():
        refused = ""
        try:
            await services.backend.fold(tenant)
            refused = (await services.backend.state(tenant)).reason
        except CrmError as error:  # an error of one tenant's files must not stop the others
            refused = error.operator_detail
        yield {"tenant": tenant, "refused": refused}


async def backup(services: Services, tenant: str, target: str) -> AsyncIterator[dict[str, object]]:
    """Copy a tenant into a new file (0600) while writes continue; one item. ``target``: an absolute path."""
    await keep_access(services.backend, tenant, tenant, services.now())  # a restore must know whose they are
    await services.backend.backup(tenant, Path(target))
    return only({"tenant": tenant, "file": target})


async def restore(services: Services, tenant: str, source: str) -> AsyncIterator[dict[str, object]]:
    """Create a tenant from a backup, unless it exists; one item. ``source``: an absolute path."""
    await services.backend.restore(tenant, Path(source))
    services.views.forget(tenant)
    ended = await end_foreign_access(services.backend, tenant, services.now())
    revision = (await services.backend.view(tenant, None)).revision
    return only({"tenant": tenant, "revision": revision, "access_ended": ended})


async def only(item: dict[str, object]) -> AsyncIterator[dict[str, object]]:
    """A stream of one item, since callers wait for streams without a timeout."""
    yield item


async def move(services: Services, tenant: str, name: str) -> dict[str, object]:
    """Rename a tenant, with its tokens, users, log and history; finish one that was interrupted."""
    if not await _is_renamed(services, tenant, name):
        await services.backend.rename(tenant, name)
    services.views.forget(tenant)
    services.views.forget(name)
    stays = await keep_access(services.backend, tenant, name, services.now())
    return {"tenant": name, "was": tenant, "access_stays": stays}


async def _is_renamed(services: Services, tenant: str, name: str) -> bool:
    """Whether the store was renamed and the roster was not: the command was killed in between."""
    rostered, backend = _rostered(services), services.backend
    unfinished = tenant in rostered and name not in rostered
    return unfinished and not await backend.has(tenant) and await backend.has(name)


async def check(services: Services, tenants: list[str]) -> AsyncIterator[dict[str, object]]:
    """Read every file of the named tenants, or of all: an item with mode and problems for each."""
    known = await services.backend.tenants()
    if unknown := [tenant for tenant in tenants if tenant not in known]:
        raise SetupError([f"there is no tenant {tenant}; crm tenant list shows the tenants" for tenant in unknown])
    checked = tenants or known
    for tenant in checked:
        try:
            problems = [*await services.backend.check(tenant), *await _unread(services, tenant)]
            problems += [*await _sealed(services, tenant), *await services.records.faults(tenant)]
            problems += [clash.sentence for clash in (await services.views.of(tenant)).combined.clashes]
        except CrmError as error:
            problems = [error.operator_detail]
        mode = (await services.backend.state(tenant)).mode
        yield {"tenant": tenant, "mode": mode, "problems": problems, "of": len(checked)}
    for tenant, problem in ({} if tenants else await missing(services)).items():
        yield {"tenant": tenant, "mode": "missing", "problems": [problem], "of": len(checked)}


async def missing(services: Services) -> dict[str, str]:
    """The tenants that have an entry in the roster and no store, each with what to do."""
    stored = set(await services.backend.tenants())
    return {
        tenant: interrupted_removal(tenant, stored)
        or "keys.yaml has an entry for it, but it has no store. If it had one, check the storage that instance.yaml "
        f"names, or restore a backup. If it is new: crm tenant create {tenant}"
        for tenant in sorted(_rostered(services) - stored)
    }


def renamed_for_removal(tenant: str) -> str:
    """The name of a tenant while it is removed."""
    return f"removing-{tenant}"[:63].rstrip("-")


def interrupted_removal(tenant: str, stored: Collection[str]) -> str | None:
    """What an interrupted removal left of a tenant that is not there, and what undoes it; None if nothing."""
    left = renamed_for_removal(tenant)
    if left not in stored:
        return None
    return f"it was renamed {left} by a removal that was interrupted: crm tenant move {left} {tenant} undoes that"


async def _unread(services: Services, tenant: str) -> list[str]:
    """Stored data that no plugin can read, in sentences."""
    workspace = await services.views.of(tenant)
    orphaned = map(orphan_sentence, await services.records.orphaned(tenant))
    return [*(f"{fault.sentence} {fault.cause}".rstrip() for fault in workspace.faults), *orphaned]


async def _sealed(services: Services, tenant: str) -> list[str]:
    """The stored secrets that no key of ``secret_key`` opens, in sentences."""
    from crm_core.sync.sections import SEALED_FOR

    workspace, problems = await services.views.of(tenant), []
    for name, section in workspace.sections.items():
        for pointer, sealed in section.sealed.items():
            try:
                services.sealer.open(SEALED_FOR, sealed)
            except InternalError as error:
                problems.append(f"/{name}{pointer}: {error.detail} API tokens and sign-ins of that key have ended too.")
    return problems


async def unread(services: Services) -> AsyncIterator[dict[str, object]]:
    """An item for each tenant with data that no plugin can read; stores that fail are reported by doctor."""
    for tenant in await services.backend.tenants():
        try:
            problems = await _unread(services, tenant)
        except CrmError:
            continue
        if problems:
            yield {"tenant": tenant, "problems": problems}


def _rostered(services: Services) -> set[str]:
    """The tenants with an entry in the roster; none if it does not load, which other checks report."""
    try:
        return set(services.configured.roster.tenants)
    except SetupError:
        return set()


async def migrate(services: Services) -> dict[str, object]:
    """Bring everything stored into this version's format, and return what was done."""
    return {"done": list(await services.backend.migrate())}


COMMANDS = {
    "fold": fold,
    "backup": backup,
    "restore": restore,
    "move": move,
    "check": check,
    "migrate": migrate,
    "unread": unread,
}

"""The workspaces of active tenants, each cached until its revision or the configuration changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from crm_core.model.catalog import Catalog, Roles
from crm_core.model.recent import Recent
from crm_core.plugin.payload_calls import PayloadCalls
from crm_core.plugin.query import View
from crm_core.plugin.storage import StorageBackend
from crm_core.server_log import ServerLog
from crm_core.workspace.reading import SectionFault
from crm_core.workspace.snapshot import Workspace, derive_workspace, read_sections

_log = ServerLog("crm.workspace")


class ModuleConfiguration(Protocol):
    """Catalog and roles as currently configured; ``generation`` grows with each edit that takes effect."""

    @property
    def generation(self) -> int: ...  # noqa: D102 -- the class says it
    @property
    def catalog(self) -> Catalog: ...  # noqa: D102 -- the class says it
    @property
    def roles(self) -> Roles: ...  # noqa: D102 -- the class says it


class Views:
    """Reads workspaces and caches those of the ``maxsize`` tenants used last."""

    def __init__(
        self, backend: StorageBackend, configured: ModuleConfiguration, calls: PayloadCalls, maxsize: int = 1024
    ) -> None:
        self._backend = backend
        self._configured = configured
        self._calls = calls
        self._workspaces: Recent[str, Workspace] = Recent(maxsize)

    async def of(self, tenant: str, seen: tuple[int, str] | None = None) -> Workspace:
        """The workspace as it is now, or, if that is cached, at the revision and epoch that the request has ``seen``.

        Raises UnknownTenant, StorageUnavailable.
        """
        cached = None if seen is None else self.assumed(tenant)
        if cached is not None and (cached.revision, cached.epoch) == seen:
            return cached
        return (await self.with_view(tenant))[0]

    async def with_view(self, tenant: str) -> tuple[Workspace, View]:
        """The workspace and the store's view from which it was derived. Raises as ``of``."""
        cached = self._workspaces.get(tenant)
        view = await self._backend.view(tenant, cached.revision if cached else None)
        if _is_of_another_epoch(view, cached):
            view = await self._backend.view(tenant, None)
        return self._derived(tenant, cached, view), view

    async def with_claims(self, tenant: str, claims: Sequence[tuple[str, str]]) -> tuple[Workspace, list[bytes | None]]:
        """The workspace and, read at the same moment, the evidence of claims. Raises as ``of``."""
        cached = self._workspaces.get(tenant)
        view, evidence = await self._backend.view_and_claims(tenant, cached.revision if cached else None, claims)
        if _is_of_another_epoch(view, cached):
            view, evidence = await self._backend.view_and_claims(tenant, None, claims)
        return self._derived(tenant, cached, view), evidence

    def assumed(self, tenant: str) -> Workspace | None:
        """The workspace as it was seen last, under the present configuration, for a unit that expects it unchanged."""
        cached = self._workspaces.get(tenant)
        return cached if cached is not None and cached.generation == self._configured.generation else None

    def remembered(self, tenant: str) -> Workspace:
        """The workspace as it was seen last, else one without sections: for a page that says that it cannot be read."""
        cached = self._workspaces.get(tenant)
        if cached is not None:
            return cached
        configured = self._configured
        return derive_workspace(
            tenant,
            0,
            {},
            self._calls,
            generation=configured.generation,
            catalog=configured.catalog,
            roles=configured.roles,
        )

    def _derived(self, tenant: str, cached: Workspace | None, view: View) -> Workspace:
        """The workspace of a view: the cached one if it is of this revision and configuration."""
        generation = self._configured.generation
        if view.documents is not None:
            stored = read_sections(view.documents)
        else:
            assert cached is not None
            if cached.generation == generation:
                return cached
            stored = {name: reading.stored for name, reading in cached.readings.items()}
        workspace = derive_workspace(
            tenant,
            view.revision,
            stored,
            self._calls,
            generation=generation,
            catalog=self._configured.catalog,
            roles=self._configured.roles,
            before=cached,
            epoch=view.epoch,
        )
        self._log_faults(workspace, cached)
        self._workspaces.add(tenant, workspace)
        return workspace

    def unreadable(self) -> dict[str, tuple[SectionFault, ...]]:
        """The faults of the tenants whose workspaces are cached."""
        return {tenant: workspace.faults for tenant, workspace in sorted(self._workspaces.items()) if workspace.faults}

    @staticmethod
    def _log_faults(workspace: Workspace, before: Workspace | None) -> None:
        known = before.faults if before is not None else ()
        for fault in workspace.faults:
            if fault not in known:
                _log.error(
                    "section_unreadable",
                    tenant=workspace.tenant,
                    section=fault.section,
                    plugin=fault.plugin,
                    member=fault.member,
                    reason=fault.cause or fault.reason,
                )

    def learn(self, workspace: Workspace) -> None:
        """Cache a workspace that was just committed."""
        cached = self._workspaces.get(workspace.tenant)
        if cached is None or cached.revision < workspace.revision or cached.epoch != workspace.epoch:
            self._workspaces.add(workspace.tenant, workspace)

    def forget(self, tenant: str) -> None:
        """Drop a tenant that was restored or renamed."""
        self._workspaces.forget(tenant)


def _is_of_another_epoch(view: View, cached: Workspace | None) -> bool:
    """Whether a tenant was restored, and has by chance the revision of the workspace that is cached."""
    return view.documents is None and cached is not None and cached.epoch != view.epoch

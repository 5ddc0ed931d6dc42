"""The workspaces of the active tenants, each kept until its revision or the configuration moves."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Protocol

from crm_core.model.catalog import Catalog, Roles
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.query import View
from crm_core.plugin.storage import StorageBackend
from crm_core.workspace.snapshot import Workspace, derive_workspace, read_sections


class Configured(Protocol):
    """The files that an admin edits, as in force now; ``generation`` grows with each edit that came into force."""

    @property
    def generation(self) -> int: ...  # noqa: D102 -- the class says it
    @property
    def catalog(self) -> Catalog: ...  # noqa: D102 -- the class says it
    @property
    def roles(self) -> Roles: ...  # noqa: D102 -- the class says it


class Views:
    """Hands out workspaces. ``kept``: of how many tenants at most; the longest unused goes first."""

    def __init__(
        self,
        backend: StorageBackend,
        configured: Configured,
        sections: Mapping[str, PayloadType],
        kept: int = 1024,
    ) -> None:
        self._backend = backend
        self._configured = configured
        self._sections = sections
        self._kept = kept
        self._workspaces: OrderedDict[str, Workspace] = OrderedDict()

    async def of(self, tenant: str) -> Workspace:
        """The workspace as it is now. Raises UnknownTenant, StorageUnavailable, PluginFailed."""
        return (await self.standing(tenant))[0]

    async def standing(self, tenant: str) -> tuple[Workspace, View]:
        """The workspace, and the store's own word on seq and log head at that moment."""
        held = self._workspaces.get(tenant)
        view = await self._backend.view(tenant, held.revision if held else None)
        generation = self._configured.generation
        if held is not None and view.documents is None and held.generation == generation:
            self._workspaces.move_to_end(tenant)
            return held, view
        if view.documents is not None:
            sections = read_sections(view.documents)
        else:
            assert held is not None
            sections = dict(held.sections)
        workspace = derive_workspace(
            tenant,
            view.revision,
            sections,
            self._sections,
            generation=generation,
            catalog=self._configured.catalog,
            roles=self._configured.roles,
            before=held,
        )
        self._keep(workspace)
        return workspace, view

    def learn(self, workspace: Workspace) -> None:
        """Keep a workspace that was just committed as it is, so that the next reader need not derive it again."""
        held = self._workspaces.get(workspace.tenant)
        if held is None or held.revision < workspace.revision:
            self._keep(workspace)

    def forget(self, tenant: str) -> None:
        """Drop a tenant that was restored or got another name."""
        self._workspaces.pop(tenant, None)

    def _keep(self, workspace: Workspace) -> None:
        self._workspaces[workspace.tenant] = workspace
        self._workspaces.move_to_end(workspace.tenant)
        while len(self._workspaces) > self._kept:
            self._workspaces.popitem(last=False)

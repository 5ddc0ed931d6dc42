"""Bootstrap: the workspace as one caller sees it, and the public sections for login pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from cachetools import LRUCache

from crm_core.model.caller import Caller
from crm_core.plugin.payload import PayloadType
from crm_core.services import Services
from crm_core.web.answers import PRIVATE, Answer, encoded, etag_of, tagged
from crm_core.web.operations import BASE, Operation, Reply, Route
from crm_core.web.request import Request
from crm_core.workspace import Workspace, keys_of

_MAX_BODIES: Final = 1024
_PUBLIC: Final = {"Cache-Control": "no-cache"}


class _Body(msgspec.Struct, frozen=True):
    """A body with its tag, valid for one workspace at one revision of the caller."""

    workspace: Workspace
    revision: int
    body: bytes
    etag: str


class Bodies:
    """Bootstrap bodies by tenant and caller."""

    def __init__(self) -> None:
        self._cached: LRUCache[tuple[str, str], _Body] = LRUCache(_MAX_BODIES)

    def get(
        self, workspace: Workspace, actor: str, revision: int, make: Callable[[], dict[str, Any]]
    ) -> tuple[bytes, str]:
        """The body and its tag, made again if the workspace or the caller has changed."""
        cached = self._cached.get((workspace.tenant, actor))
        if cached is None or cached.workspace is not workspace or cached.revision != revision:
            body = encoded(make())
            cached = self._cached[workspace.tenant, actor] = _Body(workspace, revision, body, etag_of(body))
        return cached.body, cached.etag


def routes(services: Services) -> list[Route]:
    """Bootstrap for callers, and for login pages."""
    bodies = Bodies()
    types = services.registry.sections

    async def bootstrap(request: Request) -> Answer:
        caller, workspace = request.caller, await services.views.of(request.tenant)
        make = partial(bootstrap_of, services.settings.instance, workspace, caller, types)
        return tagged(request, *bodies.get(workspace, caller.actor, caller.revision, make), PRIVATE)

    async def public(request: Request) -> Answer:
        workspace = await services.views.of(request.tenant)
        make = partial(sections_shown, workspace, types, public_only=True)
        return tagged(request, *bodies.get(workspace, "", 0, make), _PUBLIC)

    return [Route(BOOTSTRAP, bootstrap), Route(BOOTSTRAP_PUBLIC, public)]


class ModuleShown(msgspec.Struct, frozen=True):
    """A module of the catalog as bootstrap shows it; ``features`` are the keys that this caller has."""

    module: str
    title: str
    state: str
    reason: str | None
    icon: str | None
    order: int
    features: list[str]
    routes: list[str]


class LastSync(msgspec.Struct, frozen=True):
    """The push that was applied last."""

    at: str
    type: str
    version: int
    request_id: str
    revision: int


class Bootstrap(msgspec.Struct, frozen=True):
    """The workspace as one caller sees it; further sections are members like ``branding`` and ``workspace``."""

    instance: str
    tenant: str
    user: dict[str, Any] | None
    role: str | None
    features: list[str]
    modules: list[ModuleShown]
    limits: dict[str, int]
    subscription: dict[str, Any] | None
    last_sync: LastSync | None
    sections: dict[str, int]
    branding: dict[str, Any] = {}
    workspace: dict[str, Any] = {}


def bootstrap_of(
    instance: str, workspace: Workspace, caller: Caller, types: Mapping[str, PayloadType]
) -> dict[str, Any]:
    """The bootstrap of a caller."""
    keys = keys_of(workspace, caller)
    entitlements, last = workspace.entitlements, workspace.last_accepted
    user = caller.kind == "user"
    return {
        "instance": instance,
        "tenant": workspace.tenant,
        "user": {"id": caller.id, "name": caller.name, "email": caller.email} if user else None,
        "role": caller.role if user else None,
        "features": sorted(keys),
        "modules": _modules(workspace, keys),
        **sections_shown(workspace, types, public_only=False),
        "limits": dict(entitlements.limits),
        "subscription": None if entitlements.subscription is None else msgspec.to_builtins(entitlements.subscription),
        "last_sync": None
        if last is None
        else LastSync(last.at, last.payload_type, last.version, last.request_id, last.revision),
        "sections": {name: section.version for name, section in sorted(workspace.sections.items())},
    }


def sections_shown(workspace: Workspace, types: Mapping[str, PayloadType], *, public_only: bool) -> dict[str, Any]:
    """The data of the sections that may be shown, by name; an empty object for one that was not pushed yet."""
    wanted = ("public",) if public_only else ("public", "members")
    return {
        name: workspace.readable[name].data if name in workspace.readable else {}
        for name, payload_type in types.items()
        if payload_type.SHOWN in wanted
    }


def _modules(workspace: Workspace, keys: frozenset[str]) -> list[ModuleShown]:
    return [
        ModuleShown(
            module=name,
            title=state.title,
            state=state.state,
            reason=state.reason,
            icon=state.icon,
            order=state.order,
            features=[key for key in state.module.features if key in keys],
            routes=[f"/{name}"] if state.reason is None and f"{name}.view" in keys else [],
        )
        for name, state in workspace.modules.states.items()
    ]


_NOT_CHANGED: Final = Reply(description="Not changed since the ETag sent.")
BOOTSTRAP: Final = Operation(
    method="GET",
    path=f"{BASE}/bootstrap",
    name="get_bootstrap",
    summary="What an app needs to draw itself, as this caller may see it.",
    tag="bootstrap",
    scope="any",
    key="any",
    replies={200: Reply(description="The workspace.", schema=Bootstrap, headers=("ETag",)), 304: _NOT_CHANGED},
)
BOOTSTRAP_PUBLIC: Final = Operation(
    method="GET",
    path=f"{BASE}/bootstrap/public",
    name="get_public_bootstrap",
    summary="The sections that a login page may show.",
    tag="bootstrap",
    open_to_all=True,
    replies={
        200: Reply(description="The public sections.", schema={"type": "object"}, headers=("ETag",)),
        304: _NOT_CHANGED,
    },
)

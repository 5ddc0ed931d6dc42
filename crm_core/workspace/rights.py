"""The rights of a caller in a workspace, and the refusals."""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

from crm_core.errors import (
    FeatureUnavailable,
    InsufficientScope,
    ModuleUnavailable,
    PermissionDenied,
    SubscriptionSuspended,
)
from crm_core.model.caller import Caller
from crm_core.model.permissions import SUPER_ADMIN, narrowed, scope_for, token_keys, user_keys
from crm_core.workspace.snapshot import Workspace

_MOST_CACHED = 256  # sets of scopes, and roles with assignments, whose keys a workspace caches


def keys_of(workspace: Workspace, caller: Caller) -> frozenset[str]:
    """The keys that the caller may use now: feature keys, and for users the core's own.

    Cached for all callers with the same scopes, or the same role and assignment.
    """
    group: Hashable = caller.scopes if caller.kind == "token" else (caller.role, caller.assignment)
    cached = workspace.rights
    keys = cached.get(group)
    if keys is None:
        if len(cached) >= _MOST_CACHED:
            cached.clear()
        keys = cached[group] = _derived_keys(workspace, caller)
    return keys


def _derived_keys(workspace: Workspace, caller: Caller) -> frozenset[str]:
    if caller.kind == "token":
        return token_keys(caller.scopes, workspace.modules.allowed)
    if caller.assignment is not None and caller.role != SUPER_ADMIN:
        # Many users share the keys of a role: only the assignment is applied for each.
        of_role = keys_of(workspace, msgspec.structs.replace(caller, assignment=None))
        return narrowed(of_role, caller.assignment, workspace.roles)
    allowed, blocked = workspace.modules.allowed, workspace.catalog.blocked
    return user_keys(
        caller.role,
        roles=workspace.roles,
        allowed=allowed,
        blocked=frozenset(key for key in allowed if key.partition(".")[0] in blocked),
        overlays=workspace.entitlements.roles,
        assignment=caller.assignment,
    )


def may(workspace: Workspace, caller: Caller, key: str) -> bool:
    """Whether ``require`` lets the caller do what a key names, as far as rights go."""
    guard = workspace.catalog.guard(key)
    if caller.kind == "token":
        return scope_for(key) in caller.scopes and guard in workspace.modules.allowed
    return guard in keys_of(workspace, caller)


def require(workspace: Workspace, caller: Caller, key: str, *, writes: bool = False) -> None:
    """Require a feature key. Checked in this order: scope, module, feature, user, subscription.

    A record type of another module is guarded by the keys of that module; the scope is still the type's.

    Raises InsufficientScope, ModuleUnavailable, FeatureUnavailable, PermissionDenied, SubscriptionSuspended.
    """
    if caller.kind == "token":
        scope = scope_for(key)
        if scope is None:
            raise InsufficientScope(f"No scope covers {key}; sign in as a user.")
        if scope not in caller.scopes:
            raise InsufficientScope(f"This token's scopes do not cover {key}; use one with {scope}.", scope=scope)
    key = workspace.catalog.guard(key)
    module = key.partition(".")[0]
    state = workspace.modules.states.get(module)
    if state is None or state.reason is not None:
        reason = "not_in_catalog" if state is None else state.reason
        raise ModuleUnavailable(f"The module {module} is not available here ({reason}).", module=module, reason=reason)
    if key not in workspace.modules.allowed:
        raise FeatureUnavailable(f"The plan of this workspace does not include {key}.", feature=key)
    if caller.kind == "user" and key not in keys_of(workspace, caller):
        raise PermissionDenied(
            f"Your role or assignment does not include {key}; an admin can change that.", feature=key
        )
    if writes and workspace.suspended:
        raise SubscriptionSuspended("The subscription is suspended: records can be read, not written.")


def require_scope(workspace: Workspace, caller: Caller, *, scope: str | None, key: str) -> None:
    """Require a scope of a token (None: no token may do this), and a core key of a user.

    Raises InsufficientScope, PermissionDenied.
    """
    if caller.kind == "token":
        if scope is None:
            raise InsufficientScope("Tokens cannot do this; sign in as a user.")
        if scope not in caller.scopes:
            raise InsufficientScope(f"This token's scopes do not cover this; use one with {scope}.", scope=scope)
    elif key not in keys_of(workspace, caller):
        raise PermissionDenied(f"Your role does not include {key}; an admin can change that.", feature=key)

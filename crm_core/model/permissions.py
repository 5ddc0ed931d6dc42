"""The rights of a caller: pure functions from the tenant's allowed keys, the roles, the overlay and the assignment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crm_core.model.catalog import Role, Roles
from crm_core.model.entitlements import RoleOverlay
from crm_core.model.patterns import expand

SUPER_ADMIN = "super_admin"

SCOPE_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "read": ("view", "export"),
    "write": ("create", "update"),
    "delete": ("delete",),
    "erase": (),  # no feature key covers it: the core's own does, for users
}
_ACCESS = {action: access for access, actions in SCOPE_ACTIONS.items() for action in actions}


def core_keys_of(role: str, roles: Roles) -> frozenset[str]:
    """The core's own keys that a role grants; none if there is no such role."""
    definition = roles.get(role)
    if definition is None:
        return frozenset()
    return roles.core_keys if role == SUPER_ADMIN else roles.core_keys & frozenset(definition.grant)


def user_keys(
    role: str,
    *,
    roles: Roles,
    allowed: frozenset[str],
    overlays: Mapping[str, RoleOverlay],
    assignment: Iterable[str] | None,
    blocked: frozenset[str] = frozenset(),
) -> frozenset[str]:
    """The keys a user of this role may use; ``assignment`` None: everything the role gives.

    A role that no longer exists grants nothing. A super admin has all allowed keys and never more. Core keys come from
    the role alone: plan, overlay and assignment do not change them. ``blocked``: keys that no push may change, which an
    overlay's ``*.action`` skips.
    """
    definition = roles.get(role)
    if definition is None:
        return frozenset()
    core = core_keys_of(role, roles)
    if role == SUPER_ADMIN:
        return allowed | core
    # A module may have the name of a core key, which neither plan nor pattern must grant.
    keys = (_of_role(definition, overlays.get(role), allowed, blocked) - roles.core_keys) | core
    return keys if assignment is None else narrowed(keys, assignment, roles)


def narrowed(keys: frozenset[str], assignment: Iterable[str], roles: Roles) -> frozenset[str]:
    """A role's keys limited by an assignment, which does not limit core keys."""
    core = keys & roles.core_keys
    return expand(assignment, keys - core) | core


def token_keys(scopes: Iterable[str], allowed: frozenset[str]) -> frozenset[str]:
    """The keys a token may use: ``read`` is view and export, ``write`` create and update, ``delete`` delete."""
    wanted = {
        f"{module}.{action}"
        for module, _, access in (scope.partition(":") for scope in scopes)
        for action in SCOPE_ACTIONS.get(access, ())
    }
    return allowed & wanted


def scope_for(key: str) -> str | None:
    """The scope that covers a feature key; None if no token can have it."""
    module, _, action = key.partition(".")
    access = _ACCESS.get(action)
    return None if access is None else f"{module}:{access}"


def _of_role(
    role: Role, overlay: RoleOverlay | None, allowed: frozenset[str], blocked: frozenset[str]
) -> frozenset[str]:
    keys = expand(role.grant, allowed)
    if overlay is None:
        return keys
    touched = allowed - blocked
    return (keys | expand(overlay.grant, touched)) - expand(overlay.deny, touched)

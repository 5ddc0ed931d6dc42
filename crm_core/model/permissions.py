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

    A role that is not there any more gives nothing. A super admin has all that is allowed and never more. The keys
    of the core come from the role alone: neither plan, overlay nor assignment touches them. ``blocked`` are the keys
    that no push may touch, so an overlay's ``*.action`` passes them over.
    """
    definition = roles.get(role)
    if definition is None:
        return frozenset()
    core = core_keys_of(role, roles)
    if role == SUPER_ADMIN:
        return allowed | core
    # A module of the catalog may have the name of a core key; neither plan nor pattern gives the core's by that.
    keys = (_of_role(definition, overlays.get(role), allowed, blocked) - roles.core_keys) | core
    return keys if assignment is None else narrowed(keys, assignment, roles)


def narrowed(keys: frozenset[str], assignment: Iterable[str], roles: Roles) -> frozenset[str]:
    """A role's keys within an assignment, which leaves the core's own alone."""
    core = keys & roles.core_keys
    return expand(assignment, keys - core) | core


def token_keys(scopes: Iterable[str], allowed: frozenset[str]) -> frozenset[str]:
    """The keys a token may use: ``read`` is view and export, ``write`` create and update, ``delete`` the same."""
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

"""What a caller may do: pure functions from the tenant's allowed keys, the roles, the overlay and the assignment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crm_core.model.catalog import Role, Roles
from crm_core.model.entitlements import RoleOverlay
from crm_core.model.patterns import expand

SUPER_ADMIN = "super_admin"

SCOPE_ACTIONS = {"read": ("view", "export"), "write": ("create", "update")}


def user_keys(
    role: str,
    *,
    roles: Roles,
    allowed: frozenset[str],
    overlays: Mapping[str, RoleOverlay],
    assignment: Iterable[str] | None,
) -> frozenset[str]:
    """The keys a user of this role may use; ``assignment`` None: everything the role gives.

    A role that is not there any more gives nothing. A super admin has all that is allowed and never more. The keys
    of the core come from the role alone: neither plan, overlay nor assignment touches them.
    """
    found = roles.get(role)
    if found is None:
        return frozenset()
    core = roles.core_keys & frozenset(found.grant)
    if role == SUPER_ADMIN:
        return allowed | roles.core_keys
    keys = _of_role(found, overlays.get(role), allowed)
    if assignment is not None:
        keys = expand(assignment, keys)
    return keys | core


def token_keys(scopes: Iterable[str], allowed: frozenset[str]) -> frozenset[str]:
    """The keys a token may use: ``{type}:read`` is view and export, ``{type}:write`` create and update."""
    wanted = {
        f"{module}.{action}"
        for module, _, access in (scope.partition(":") for scope in scopes)
        for action in SCOPE_ACTIONS.get(access, ())
    }
    return allowed & wanted


def _of_role(role: Role, overlay: RoleOverlay | None, allowed: frozenset[str]) -> frozenset[str]:
    if overlay is None:
        return expand(role.grant, allowed)
    return expand((*role.grant, *overlay.grant), allowed) - expand(overlay.deny, allowed)

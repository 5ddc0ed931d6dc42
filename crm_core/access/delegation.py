"""Delegation: callers can neither give nor acquire a core right that they lack.

The rule applies to users, links and tokens, through API, pages and commands. ``by`` is the caller; None is an operator
on the machine, who may do everything. The grants of a role count, not the current plan. Everyone who manages users can
give the feature keys of modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from crm_core.access.scopes import core_key_for
from crm_core.access.user import User
from crm_core.errors import PermissionDenied
from crm_core.model.caller import Caller
from crm_core.model.catalog import Roles
from crm_core.model.permissions import SUPER_ADMIN, core_keys_of

_OWN: Final[Mapping[str, object]] = {"role": None, "assignment": None, "disabled": False}


def powers_of(role: str, roles: Roles) -> frozenset[str]:
    """The rights of a role beyond modules: its core keys and, for super admins, ``super_admin`` itself.

    So a super admin has more than a role that grants every core key.
    """
    core = core_keys_of(role, roles)
    return core | {SUPER_ADMIN} if role == SUPER_ADMIN else core


def may_manage(role: str, by: Caller | None, roles: Roles) -> bool:
    """Whether the caller may give this role, and change users who have it."""
    return by is None or powers_of(role, roles) <= powers_of(by.role, roles)


def require_may_manage(role: str, by: Caller | None, roles: Roles) -> None:
    """Raise PermissionDenied unless the caller may give this role and change users who have it."""
    if may_manage(role, by, roles):
        return
    if role == SUPER_ADMIN:
        raise PermissionDenied("Only a super admin can make or change a super admin. Ask one.")
    lacking = sorted(powers_of(role, roles) - powers_of(by.role if by else "", roles))
    raise PermissionDenied(
        f"The role {roles[role].title} includes {', '.join(lacking)}, which your role lacks. "
        "Ask an admin whose role includes it.",
        feature=lacking[0],
    )


def require_may_change(user: User, after: object, by: Caller | None, roles: Roles) -> None:
    """Raise PermissionDenied unless the caller may make this change.

    ``after``: the writable members with the patch applied, not validated yet, so a refusal says nothing about them.
    """
    require_may_manage(user.role, by, roles)
    if not isinstance(after, Mapping):
        return
    require_may_manage(named_role(after), by, roles)
    if by is None or by.id != user.id:
        return
    before = user.writable()
    if any(after.get(name, absent) != before.get(name, absent) for name, absent in _OWN.items()):
        raise PermissionDenied("You cannot change your own role or access. Ask another admin.")


def require_may_give(scopes: Iterable[str], by: Caller, roles: Roles) -> None:
    """Raise PermissionDenied unless the caller may make, and revoke, a token with these scopes."""
    for scope in scopes:
        key = core_key_for(scope)
        if key is not None and key not in powers_of(by.role, roles):
            raise PermissionDenied(
                f"The scope {scope} needs {key}, which your role lacks. Ask an admin whose role includes it.",
                feature=key,
            )


def named_role(data: object) -> str:
    """The role that the input names; empty if there is none, which validation refuses later."""
    role = data.get("role") if isinstance(data, Mapping) else None
    return role if isinstance(role, str) else ""

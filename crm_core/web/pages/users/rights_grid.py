"""The grid of a user's rights: per feature the plan, role and assignment, the outcome, and the reason."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from crm_core.access.user import User
from crm_core.language import gettext, label_of
from crm_core.model.caller import Caller
from crm_core.model.modules import ModuleState
from crm_core.model.patterns import expand
from crm_core.model.permissions import user_keys
from crm_core.web.pages.layout.frame import title_of
from crm_core.web.pages.layout.names import user_name
from crm_core.web.pages.layout.parts import Mark
from crm_core.web.pages.layout.rights import right_name
from crm_core.web.pages.refusals import reason_text
from crm_core.workspace import Workspace, keys_of


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """A feature key. ``open``: plan and role allow it, so the assignment decides."""

    key: str
    title: str
    in_plan: bool
    assigned: bool
    open: bool
    mark: Mark
    why: str


class RightGroup(msgspec.Struct, frozen=True):
    """The rights of one module."""

    title: str
    why: str
    rights: tuple[Right, ...]


def of_role(workspace: Workspace, user: User) -> frozenset[str]:
    """The feature keys that plan and role grant the user, before the assignment."""
    caller = Caller(kind="user", id=user.id, name=user.email, revision=0, role=user.role, email=user.email)
    return keys_of(workspace, caller) - workspace.roles.core_keys


def assignment_of(workspace: Workspace, user: User, checked: Iterable[str]) -> list[str] | None:
    """The assignment for the checked boxes: None if it removes nothing, so that it includes what the role gains later.

    Rights of the role in modules that are off, which have no box, stay as they were, removed or not. So do patterns
    that match no open key, for a later plan or role that grants them.
    """
    open_keys, every = of_role(workspace, user), frozenset(workspace.catalog.keys)
    overlays = workspace.entitlements.roles
    granted = user_keys(user.role, roles=workspace.roles, allowed=every, overlays=overlays, assignment=None)
    closed = granted - open_keys - workspace.roles.core_keys
    left = closed if user.assignment is None else expand(user.assignment, closed)
    wanted = open_keys.intersection(checked)
    if wanted == open_keys and left == closed:
        return None
    dormant = [pattern for pattern in user.assignment or () if not expand((pattern,), open_keys)]
    return [*sorted(wanted | (left - expand(dormant, left))), *dormant]


def narrowed(workspace: Workspace, user: User) -> int:
    """How many features the assignment removes."""
    if user.assignment is None:
        return 0
    open_keys = of_role(workspace, user)
    return len(open_keys - expand(user.assignment, open_keys))


class RightsGrid:
    """The rights of one user in a workspace."""

    def __init__(self, workspace: Workspace, user: User) -> None:
        self._workspace, self._user = workspace, user
        self._open = of_role(workspace, user)
        self._assigned = self._open if user.assignment is None else expand(user.assignment, self._open)

    def groups(self) -> tuple[RightGroup, ...]:
        """The rights, grouped by module."""
        return tuple(
            RightGroup(
                title_of(state),
                self._why_module(state),
                tuple(self._right(state, key) for key in state.module.features),
            )
            for state in self._workspace.modules.states.values()
        )

    def _right(self, state: ModuleState, key: str) -> Right:
        mark, why = self._outcome(state, key)
        return Right(
            key=key,
            title=right_name(self._workspace, key),
            in_plan=key in self._workspace.modules.allowed,
            assigned=key in self._assigned,
            open=key in self._open,
            mark=mark,
            why=why,
        )

    def _outcome(self, state: ModuleState, key: str) -> tuple[Mark, str]:
        workspace, user = self._workspace, self._user
        first, role = (user_name(user).split() or [user.email])[0], workspace.roles.get(user.role)
        if key in self._assigned:
            return Mark("ok", "check", gettext("Allowed")), ""
        if key in self._open:
            return Mark("warn", "minus", gettext("Removed")), gettext("An admin removed it from {first}.", first=first)
        if state.module.name in workspace.catalog.blocked and key not in workspace.modules.allowed:
            return Mark("idle", "lock", gettext("Blocked")), gettext(
                "This instance's policy blocks it. No push can enable it."
            )
        if workspace.entitlements.overrides.get(key) is False:
            return Mark("idle", "lock", gettext("Removed")), gettext("The platform removed it for all users.")
        if key not in workspace.modules.granted:
            return Mark("idle", "lock", gettext("Not in plan")), gettext(
                "The plan {plan_name} does not include it.", plan_name=workspace.plan_name
            )
        if state.reason is not None:
            return Mark("idle", "lock", gettext("Module off")), reason_text(workspace, state.reason)
        title = label_of(role.title) if role else user.role
        return Mark("idle", "minus", gettext("Not in role")), gettext(
            "The role {title} does not grant it. Give {first} another role.", title=title, first=first
        )

    def _why_module(self, state: ModuleState) -> str:
        workspace = self._workspace
        if state.module.name in workspace.catalog.blocked and state.reason is not None:
            return gettext("Blocked by this instance's policy")
        if state.reason is not None:
            return reason_text(workspace, state.reason).rstrip(".")
        added = [key for key in state.module.features if workspace.entitlements.overrides.get(key) is True]
        if added:
            return gettext("Included in {plan}, with an override by the platform", plan=workspace.plan_name)
        return gettext("Included in {plan}", plan=workspace.plan_name)

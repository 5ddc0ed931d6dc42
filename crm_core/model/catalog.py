"""The catalog of modules, with the local plan and policy, and the local roles.

A module is a part that a user sees; a feature key is ``module.action``. Every module ``M`` has the key ``M.view``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec
from msgspec.structs import force_setattr

from crm_core.model.entitlements import PlanGrant
from crm_core.model.frozen import frozen

RECORD_ACTIONS = ("view", "create", "update", "delete", "export")
"""The actions of a record type's module, unless the catalog says otherwise."""


class Module(msgspec.Struct, frozen=True):
    """A part of the CRM. ``requires`` names modules without which it is unavailable; ``order`` sorts menus."""

    name: str
    title: str
    features: tuple[str, ...]
    requires: tuple[str, ...] = ()
    group: str | None = None
    icon: str | None = None
    order: int = 1000


class SyncPolicy(msgspec.Struct, frozen=True):
    """The modules that no push may grant or withdraw, by name and by group."""

    blocked_modules: frozenset[str] = frozenset()
    blocked_groups: frozenset[str] = frozenset()


class Catalog(msgspec.Struct, frozen=True, dict=True):
    """All modules in menu order, and the plan until a push brings one.

    ``guards``: record types that belong to another type's module, and that module.
    """

    modules: Mapping[str, Module]
    default_plan: PlanGrant
    policy: SyncPolicy = SyncPolicy()
    guards: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        """Freeze the mappings: plugins receive the catalog."""
        force_setattr(self, "modules", frozen(self.modules))
        force_setattr(self, "guards", frozen(self.guards))

    def guard(self, key: str) -> str:
        """The feature key that guards an action: ``customers.view`` for ``activities.view`` if they belong there."""
        name, dot, action = key.partition(".")
        return self.guards.get(name, name) + dot + action

    @cached_property
    def keys(self) -> frozenset[str]:
        """Every feature key."""
        return frozenset(key for module in self.modules.values() for key in module.features)

    @cached_property
    def blocked(self) -> frozenset[str]:
        """The names of the modules that the policy blocks, by name or by group."""
        by_group = {name for name, module in self.modules.items() if module.group in self.policy.blocked_groups}
        return self.policy.blocked_modules | by_group


class Role(msgspec.Struct, frozen=True):
    """A local role: feature keys, ``M.*``, ``*.action``, or ``*`` for every feature key.

    Patterns cover modules only. The core's own keys (``Roles.core_keys``) are granted only if ``grant`` names them.
    """

    name: str
    title: str
    grant: tuple[str, ...]


@dataclass(frozen=True)
class Roles(Mapping[str, Role]):
    """The local roles by name. ``core_keys``: the keys of the core itself, which no push touches."""

    roles: Mapping[str, Role]
    core_keys: frozenset[str]

    def __getitem__(self, name: str) -> Role:
        return self.roles[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.roles)

    def __len__(self) -> int:
        return len(self.roles)

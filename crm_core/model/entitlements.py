"""What sections say about modules and rights: the one value that the permission model reads of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

SubscriptionState = Literal["active", "trial", "past_due", "suspended"]


class PlanGrant(msgspec.Struct, frozen=True):
    """A plan: its feature keys and ``module.*`` patterns."""

    code: str
    name: str
    features: tuple[str, ...]


class ModuleChoice(msgspec.Struct, frozen=True):
    """The effect of a section on one module; None leaves the catalog's word."""

    enabled: bool | None = None
    title: str | None = None
    icon: str | None = None
    order: int | None = None


class RoleOverlay(msgspec.Struct, frozen=True):
    """Grants that a section adds to a local role and denies it: patterns ``M.*``, ``*.action`` or keys."""

    grant: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class Subscription(msgspec.Struct, frozen=True):
    """State of the subscription; ``ends_at`` (RFC 3339) is shown, not enforced."""

    state: SubscriptionState = "active"
    ends_at: str | None = None


class Entitlements(msgspec.Struct, frozen=True):
    """Plan, overrides, modules, roles, limits and subscription. ``plan`` None: the catalog's default plan."""

    plan: PlanGrant | None = None
    overrides: Mapping[str, bool] = {}
    modules: Mapping[str, ModuleChoice] = {}
    roles: Mapping[str, RoleOverlay] = {}
    limits: Mapping[str, int] = {}
    subscription: Subscription | None = None

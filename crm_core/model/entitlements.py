"""The modules and rights that sections grant, as one value for the permission model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec

from crm_core.model.diff import pointer_to

SubscriptionState = Literal["active", "trial", "past_due", "suspended"]


class PlanGrant(msgspec.Struct, frozen=True):
    """A plan: its feature keys and ``module.*`` patterns."""

    code: str
    name: str
    features: tuple[str, ...]


class ModuleChoice(msgspec.Struct, frozen=True):
    """The effect of a section on one module; None leaves the catalog's value."""

    enabled: bool | None = None
    title: str | None = None
    icon: str | None = None
    order: int | None = None
    singular: str | None = None


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


class Clash(msgspec.Struct, frozen=True):
    """Two payload types that give different values; ``place`` is a pointer into the entitlements."""

    place: str
    winner: str
    loser: str

    @property
    def sentence(self) -> str:
        """The clash for people, with the rule that decides it."""
        return (
            f"The sections {self.winner} and {self.loser} give different values for {self.place[1:]}; that of "
            f"{self.winner} applies, since what denies wins, else the first by name. Push one of them without it."
        )


class Combined(msgspec.Struct, frozen=True):
    """The entitlements of several payload types as one. ``sources``: the type that gave each value, by pointer."""

    entitlements: Entitlements = Entitlements()
    sources: Mapping[str, str] = {}
    clashes: tuple[Clash, ...] = ()


def combine(sections: Iterable[tuple[str, Entitlements]]) -> Combined:
    """The entitlements of payload types, given by NAME in order, as one.

    Denials win: an override that is false, a module that is disabled, the lower limit, the worse subscription.
    Grants and denials of roles add up. For other values the first type by NAME wins.
    """
    values = _Values()
    roles: dict[str, RoleOverlay] = {}
    for name, entitlements in sections:
        if entitlements.plan is not None:
            values.offer(name, ("plan",), entitlements.plan)
        if entitlements.subscription is not None:
            values.offer(name, ("subscription",), entitlements.subscription, lambda sub: -_STATES.index(sub.state))
        for key, on in entitlements.overrides.items():
            values.offer(name, ("overrides", key), on, int)
        for key, limit in entitlements.limits.items():
            values.offer(name, ("limits", key), limit, int)
        for key, module in entitlements.modules.items():
            for member in module.__struct_fields__:
                if (value := getattr(module, member)) is not None:
                    values.offer(name, ("modules", key, member), value, int if member == "enabled" else None)
        for key, overlay in entitlements.roles.items():
            other = roles.get(key, RoleOverlay())
            roles[key] = RoleOverlay(_union(other.grant, overlay.grant), _union(other.deny, overlay.deny))
    modules = {key: ModuleChoice(**choice) for key, choice in values.below("modules").items()}
    return Combined(
        Entitlements(
            plan=values.values.get(("plan",)),
            overrides=values.below("overrides"),
            modules=modules,
            roles=roles,
            limits=values.below("limits"),
            subscription=values.values.get(("subscription",)),
        ),
        {pointer_to(*path): name for path, name in values.names.items()},
        tuple(values.clashes),
    )


_STATES = get_args(SubscriptionState)  # the worst last


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


class _Values:
    """The values that win, by path, with the types that gave them."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], Any] = {}
        self.names: dict[tuple[str, ...], str] = {}
        self.clashes: list[Clash] = []

    def offer(self, name: str, path: tuple[str, ...], value: Any, rank: Callable[[Any], int] | None = None) -> None:
        """Add a value; the lower ``rank`` wins, and at a tie the earlier value."""
        if path not in self.values:
            self.values[path], self.names[path] = value, name
            return
        old, first = self.values[path], self.names[path]
        if old == value:
            return
        wins = rank is not None and rank(value) < rank(old)
        if wins:
            self.values[path], self.names[path] = value, name
        self.clashes.append(Clash(pointer_to(*path), *((name, first) if wins else (first, name))))

    def below(self, first: str) -> dict[str, Any]:
        """The values below a member, nested once more if their paths are longer."""
        below: dict[str, Any] = {}
        for path, value in self.values.items():
            if path[0] == first:
                inner = below if len(path) == 2 else below.setdefault(path[1], {})
                inner[path[-1]] = value
        return below

"""The features payload type: what the platform sells to a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeVar

from msgspec import UNSET, UnsetType

from crm_core.errors import Finding
from crm_core.model.entitlements import Entitlements, ModuleChoice, PlanGrant, RoleOverlay, Subscription
from crm_core.model.fields import step
from crm_core.plugin.payload import PayloadContext, PayloadType
from crm_features.effect import without_effect
from crm_features.section import Features

T = TypeVar("T")

# A super admin has all that is allowed, whatever a push says.
_UNTOUCHED_ROLE = "super_admin"


class FeaturesType(PayloadType):
    """Plan, overrides, modules, roles, limits and subscription."""

    NAME = "features"
    SECTION = Features

    def validate(self, part: Features, context: PayloadContext) -> Iterable[Finding]:
        """Unknown keys of known modules, unknown roles and limits, dates that do not exist, vain overrides."""
        yield from _keys(_named(part), context)
        yield from _roles(part, context)
        yield from _limits(part, context)
        yield from _subscription(part)
        yield from without_effect(self.entitlements(part), context.catalog)

    def modules(self, part: Features) -> Iterable[tuple[str, str]]:
        """Names in plan, overrides, modules and roles; patterns for all modules included."""
        return _named(part)

    def entitlements(self, part: Features) -> Entitlements:
        """The section as the permission model reads it."""
        return Entitlements(
            plan=_plan(part),
            overrides=_given(part.overrides, {}),
            modules={
                name: ModuleChoice(
                    enabled=_given(said.enabled, None),
                    title=_given(said.title, None),
                    icon=_given(said.icon, None),
                    order=_given(said.order, None),
                )
                for name, said in _given(part.modules, {}).items()
            },
            roles={
                name: RoleOverlay(tuple(_given(said.grant, [])), tuple(_given(said.deny, [])))
                for name, said in _given(part.roles, {}).items()
            },
            limits=_given(part.limits, {}),
            subscription=None
            if part.subscription is UNSET
            else Subscription(_given(part.subscription.state, "active"), _given(part.subscription.ends_at, None)),
        )


def _given(value: T | UnsetType, otherwise: T) -> T:
    return otherwise if isinstance(value, UnsetType) else value


def _plan(part: Features) -> PlanGrant | None:
    if part.plan is UNSET:
        return None
    return PlanGrant(part.plan.code, _given(part.plan.name, part.plan.code), tuple(part.plan.features))


def _named(part: Features) -> Iterator[tuple[str, str]]:
    if part.plan is not UNSET:
        for index, key in enumerate(part.plan.features):
            yield f"/plan/features/{index}", key
    for key in _given(part.overrides, {}):
        yield "/overrides" + step(key), key
    for name in _given(part.modules, {}):
        yield "/modules" + step(name), name
    for role, overlay in _given(part.roles, {}).items():
        for member, patterns in (("grant", overlay.grant), ("deny", overlay.deny)):
            for index, pattern in enumerate(_given(patterns, [])):
                yield f"/roles{step(role)}/{member}/{index}", pattern


def _keys(named: Iterable[tuple[str, str]], context: PayloadContext) -> Iterator[Finding]:
    """Unknown modules pass: they are the module policy's to refuse."""
    actions = {key.partition(".")[2] for key in context.catalog.keys}
    for pointer, name in named:
        module, dot, action = name.partition(".")
        if module == "*":
            if action not in actions:
                told = f"No module has the action `{action}`, so this has no effect."
                yield Finding(pointer, "no_effect", told, warning=True)
        elif dot and action != "*" and module in context.catalog.modules and name not in context.catalog.keys:
            known = ", ".join(context.catalog.modules[module].features)
            yield Finding(pointer, "unknown_key", f"The module `{module}` has no key `{name}`; it has {known}.")


def _roles(part: Features, context: PayloadContext) -> Iterator[Finding]:
    for name in _given(part.roles, {}):
        if name == _UNTOUCHED_ROLE:
            told = f"`{name}` always has all that is allowed; leave it out."
            yield Finding("/roles" + step(name), "role_not_changeable", told)
        elif name not in context.roles:
            known = ", ".join(sorted(context.roles - {_UNTOUCHED_ROLE}))
            yield Finding("/roles" + step(name), "unknown_role", f"There is no such role here; known are {known}.")


def _limits(part: Features, context: PayloadContext) -> Iterator[Finding]:
    for name in _given(part.limits, {}):
        if name not in context.limits:
            known = ", ".join(sorted(context.limits))
            yield Finding("/limits" + step(name), "unknown_limit", f"Nothing of this name is counted; known: {known}.")


def _subscription(part: Features) -> Iterator[Finding]:
    if part.subscription is UNSET or part.subscription.ends_at is UNSET:
        return
    try:
        datetime.fromisoformat(part.subscription.ends_at)
    except ValueError:
        yield Finding("/subscription/ends_at", "invalid_value", "There is no such time; correct the date or the hour.")

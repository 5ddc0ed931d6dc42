"""The features payload type: the features that the platform sells to a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import TypeVar

from msgspec import UNSET, UnsetType

from crm_core.errors import Finding
from crm_core.language import gettext_noop
from crm_core.model.entitlements import Entitlements, ModuleChoice, PlanGrant, RoleOverlay, Subscription
from crm_core.model.fields import step
from crm_core.plugin.payload import PayloadContext, PayloadType
from crm_features.effect import without_effect
from crm_features.section import Features

T = TypeVar("T")

_MOST_WARNINGS = 100
_FIXED_ROLE = "super_admin"  # always has all allowed rights, regardless of pushes


class FeaturesType(PayloadType):
    """Plan, overrides, modules, roles, limits and subscription."""

    NAME = "features"
    SECTION = Features

    def validate(self, part: Features, context: PayloadContext) -> Iterable[Finding]:
        """Unknown keys of known modules, unknown roles and limits, invalid dates, overrides without effect."""
        yield from _few_warnings(
            chain(
                _keys(_named(part), context),
                _roles(part, context),
                _limits(part, context),
                _subscription(part),
                without_effect(self.entitlements(part), context.catalog),
            )
        )

    def modules(self, part: Features) -> Iterable[tuple[str, str]]:
        """Names in plan, overrides, modules and roles, including patterns for all modules."""
        return _named(part)

    def entitlements(self, part: Features) -> Entitlements:
        """The section as the permission model reads it."""
        return Entitlements(
            plan=_plan(part),
            overrides=_given(part.overrides, {}),
            modules={
                name: ModuleChoice(
                    enabled=_given(module.enabled, None),
                    title=_given(module.title, None),
                    singular=_given(module.singular, None),
                    icon=_given(module.icon, None),
                    order=_given(module.order, None),
                )
                for name, module in _given(part.modules, {}).items()
            },
            roles={
                name: RoleOverlay(tuple(_given(role.grant, [])), tuple(_given(role.deny, [])))
                for name, role in _given(part.roles, {}).items()
            },
            limits=_given(part.limits, {}),
            subscription=None
            if part.subscription is UNSET
            else Subscription(_given(part.subscription.state, "active"), _given(part.subscription.ends_at, None)),
        )


def _few_warnings(findings: Iterable[Finding]) -> Iterator[Finding]:
    """All errors, and the first warnings: the core accepts a limited number, and no one reads so many."""
    warnings = 0
    for finding in findings:
        warnings += finding.warning
        if not finding.warning or warnings <= _MOST_WARNINGS:
            yield finding
        elif warnings == _MOST_WARNINGS + 1:
            yield Finding("", "more_warnings", gettext_noop("More warnings follow."), warning=True)


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
    """Unknown keys of known modules; the module policy refuses unknown modules."""
    actions = {key.partition(".")[2] for key in context.catalog.keys}
    for pointer, name in named:
        module, dot, action = name.partition(".")
        if module == "*":
            if action not in actions:
                text = gettext_noop("No module has the action `{action}`, so this has no effect.").format(action=action)
                yield Finding(pointer, "no_effect", text, warning=True)
        elif dot and action != "*" and module in context.catalog.modules and name not in context.catalog.keys:
            known = ", ".join(context.catalog.modules[module].features)
            text = gettext_noop("Unknown feature key `{name}`. The module has {known}.").format(name=name, known=known)
            yield Finding(pointer, "unknown_key", text, from_catalog=True)


def _roles(part: Features, context: PayloadContext) -> Iterator[Finding]:
    for name in _given(part.roles, {}):
        if name == _FIXED_ROLE:
            text = gettext_noop("The role `{name}` always has all rights. Leave it out.").format(name=name)
            yield Finding("/roles" + step(name), "role_not_changeable", text)
        elif name not in context.roles:
            known = ", ".join(sorted(context.roles - {_FIXED_ROLE}))
            text = gettext_noop("Unknown role `{name}`. Known roles: {known}.").format(name=name, known=known)
            yield Finding("/roles" + step(name), "unknown_role", text, from_catalog=True)


def _limits(part: Features, context: PayloadContext) -> Iterator[Finding]:
    for name in _given(part.limits, {}):
        if name not in context.limits:
            known = ", ".join(sorted(context.limits))
            text = gettext_noop("Unknown limit `{name}`. Known limits: {known}.").format(name=name, known=known)
            yield Finding("/limits" + step(name), "unknown_limit", text, from_catalog=True)


def _subscription(part: Features) -> Iterator[Finding]:
    if part.subscription is UNSET or part.subscription.ends_at is UNSET:
        return
    try:
        datetime.fromisoformat(part.subscription.ends_at)
    except ValueError:
        yield Finding(
            "/subscription/ends_at",
            "invalid_value",
            gettext_noop("This time does not exist. Correct the date or hour."),
        )

"""The features payload type: the features that the platform sells to a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from crm_core.errors import Finding
from crm_core.model.catalog import Catalog
from crm_core.model.entitlements import Entitlements
from crm_core.model.fields import step
from crm_core.model.modules import derive_modules
from crm_core.model.patterns import expand
from crm_core.model.recent import once
from crm_core.model.text_types import Line
from crm_core.plugin.payload import PayloadContext, PayloadType

T = TypeVar("T")

_MOST_WARNINGS = 100
_FIXED_ROLE = "super_admin"  # always has all allowed rights, regardless of pushes

ModuleName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,100}\Z", description="the name of a module")]
FeatureKey = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9_-]{1,100}\.[A-Za-z0-9_-]{1,100}\Z", description="a feature key such as customers.create"
    ),
]
PlanPattern = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9_-]{1,100}\.(?:\*|[A-Za-z0-9_-]{1,100})\Z",
        description="a feature key, or customers.* for all of a module",
    ),
]
RolePattern = Annotated[
    str,
    Meta(
        pattern=r"\A(?:[A-Za-z0-9_-]{1,100}\.(?:\*|[A-Za-z0-9_-]{1,100})|\*\.[A-Za-z0-9_-]{1,100})\Z",
        description="a feature key, customers.* for all of a module, or *.view for an action of all modules",
    ),
]
Icon = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z", description="an icon name of A-Z a-z 0-9 _ and -")]
Order = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
Count = Annotated[int, Meta(ge=0, le=2**53 - 1, description="a whole number, 0 or more")]
Instant = Annotated[
    str,
    Meta(
        pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z\Z",
        description="a time in UTC such as 2027-01-31T00:00:00Z",
    ),
]
State = Literal["active", "trial", "past_due", "suspended"]


class PlanPart(Struct, frozen=True, forbid_unknown_fields=True):
    """The plan; ``name`` defaults to the code."""

    code: Line
    features: list[PlanPattern]
    name: Line | UnsetType = UNSET


class ModulePart(Struct, frozen=True, forbid_unknown_fields=True):
    """The push's settings of one module."""

    enabled: bool | UnsetType = UNSET
    title: Line | UnsetType = UNSET
    singular: Line | UnsetType = UNSET
    icon: Icon | UnsetType = UNSET
    order: Order | UnsetType = UNSET


class RolePart(Struct, frozen=True, forbid_unknown_fields=True):
    """The rights that a push adds to a local role and removes from it."""

    grant: list[RolePattern] | UnsetType = UNSET
    deny: list[RolePattern] | UnsetType = UNSET


class SubscriptionPart(Struct, frozen=True, forbid_unknown_fields=True):
    """The subscription as the platform sees it."""

    state: State | UnsetType = UNSET
    ends_at: Instant | UnsetType = UNSET


class Features(Struct, frozen=True, forbid_unknown_fields=True):
    """The features section."""

    plan: PlanPart | UnsetType = UNSET
    overrides: dict[FeatureKey, bool] | UnsetType = UNSET
    modules: dict[ModuleName, ModulePart] | UnsetType = UNSET
    roles: dict[Line, RolePart] | UnsetType = UNSET
    limits: dict[Line, Count] | UnsetType = UNSET
    subscription: SubscriptionPart | UnsetType = UNSET


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
                _without_effect(self.entitlements(part), context.catalog),
            )
        )

    def modules(self, part: Features) -> Iterable[tuple[str, str]]:
        """Names in plan, overrides, modules and roles, including patterns for all modules."""
        return _named(part)

    def entitlements(self, part: Features) -> Entitlements:
        """The section as the permission model reads it, whose members have the same names."""
        data = msgspec.to_builtins(part)
        if "plan" in data:
            data["plan"].setdefault("name", data["plan"]["code"])
        return msgspec.convert(data, Entitlements)


def _few_warnings(findings: Iterable[Finding]) -> Iterator[Finding]:
    """All errors, and the first warnings: the core accepts a limited number, and no one reads so many."""
    warnings = 0
    for finding in findings:
        warnings += finding.warning
        if not finding.warning or warnings <= _MOST_WARNINGS:
            yield finding
        elif warnings == _MOST_WARNINGS + 1:
            yield Finding("", "more_warnings", "More warnings follow.", warning=True)


def _given(value: T | UnsetType, otherwise: T) -> T:
    return otherwise if isinstance(value, UnsetType) else value


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
                text = f"No module has the action `{action}`, so this has no effect."
                yield Finding(pointer, "no_effect", text, warning=True)
        elif dot and action != "*" and module in context.catalog.modules and name not in context.catalog.keys:
            known = ", ".join(context.catalog.modules[module].features)
            text = f"Unknown feature key `{name}`. The module has {known}."
            yield Finding(pointer, "unknown_key", text, from_catalog=True)


def _roles(part: Features, context: PayloadContext) -> Iterator[Finding]:
    for name in _given(part.roles, {}):
        if name == _FIXED_ROLE:
            text = f"The role `{name}` always has all rights. Leave it out."
            yield Finding("/roles" + step(name), "role_not_changeable", text)
        elif name not in context.roles:
            known = ", ".join(sorted(context.roles - {_FIXED_ROLE}))
            text = f"Unknown role `{name}`. Known roles: {known}."
            yield Finding("/roles" + step(name), "unknown_role", text, from_catalog=True)


def _limits(part: Features, context: PayloadContext) -> Iterator[Finding]:
    for name in _given(part.limits, {}):
        if name not in context.limits:
            known = ", ".join(sorted(context.limits))
            text = f"Unknown limit `{name}`. Known limits: {known}."
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
            "This time does not exist. Correct the date or hour.",
        )


def _without_effect(entitlements: Entitlements, catalog: Catalog) -> Iterator[Finding]:
    """A warning for each override that repeats the plan, or whose module stays unavailable."""
    plan = expand((entitlements.plan or catalog.default_plan).features, catalog.keys)
    modules = once(lambda: derive_modules(catalog, entitlements).states)
    for key, on in entitlements.overrides.items():
        if key not in catalog.keys:
            continue
        if on == (key in plan):
            why = "The plan grants this already." if on else "The plan does not grant this anyway."
        elif on and modules()[key.partition(".")[0]].reason is not None:
            why = "Its module stays unavailable: it is disabled, or its .view or a module it requires is not granted."
        else:
            continue
        yield Finding(
            "/overrides" + step(key),
            "no_effect",
            f"The override has no effect. {why}",
            warning=True,
        )

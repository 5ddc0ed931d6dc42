"""The data of the features section."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from crm_core.model.text_types import Line

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

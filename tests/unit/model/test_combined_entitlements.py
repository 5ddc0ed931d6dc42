from __future__ import annotations

from crm_core.model.entitlements import (
    Clash,
    Entitlements,
    ModuleChoice,
    PlanGrant,
    RoleOverlay,
    Subscription,
    combine,
)

FIRST = Entitlements(
    plan=PlanGrant("a", "A", ("customers.*",)),
    overrides={"deals.export": True, "deals.view": False},
    modules={"deals": ModuleChoice(enabled=True, title="Sales")},
    roles={"agent": RoleOverlay(("deals.view",))},
    limits={"customers": 10, "deals": 5},
    subscription=Subscription("trial"),
)
SECOND = Entitlements(
    plan=PlanGrant("b", "B", ()),
    overrides={"deals.export": False, "deals.view": True},
    modules={"deals": ModuleChoice(enabled=False, title="Deals", order=1)},
    roles={"agent": RoleOverlay(("tasks.view",), ("deals.view",))},
    limits={"customers": 3, "deals": 5, "tasks": 1},
    subscription=Subscription("suspended", "2027-01-01T00:00:00Z"),
)


def test_what_denies_wins_and_else_the_first_by_name() -> None:
    """Overrides, modules, limits and subscription deny; roles add up; plan and titles are those of the first."""
    combined = combine([("gate", FIRST), ("plans", SECOND)])
    assert combined.entitlements == Entitlements(
        plan=FIRST.plan,
        overrides={"deals.export": False, "deals.view": False},
        modules={"deals": ModuleChoice(enabled=False, title="Sales", order=1)},
        roles={"agent": RoleOverlay(("deals.view", "tasks.view"), ("deals.view",))},
        limits={"customers": 3, "deals": 5, "tasks": 1},
        subscription=SECOND.subscription,
    )


def test_each_value_is_traced_and_each_clash_names_both_types() -> None:
    """The type that gave the value that applies comes first; equal values are no clash."""
    combined = combine([("gate", FIRST), ("plans", SECOND)])
    assert combined.sources["/overrides/deals.export"] == "plans"
    assert combined.sources["/overrides/deals.view"] == "gate"
    assert combined.sources["/modules/deals/order"] == "plans"
    assert set(combined.clashes) == {
        Clash("/plan", "gate", "plans"),
        Clash("/overrides/deals.export", "plans", "gate"),
        Clash("/overrides/deals.view", "gate", "plans"),
        Clash("/modules/deals/enabled", "plans", "gate"),
        Clash("/modules/deals/title", "gate", "plans"),
        Clash("/limits/customers", "plans", "gate"),
        Clash("/subscription", "plans", "gate"),
    }


def test_one_type_stays_as_it_is() -> None:
    """Nothing is added or lost on the way."""
    assert combine([("gate", FIRST)]).entitlements == FIRST
    assert combine([]).entitlements == Entitlements()

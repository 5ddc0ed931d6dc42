from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.model.catalog import Catalog, Module, Role, Roles, SyncPolicy
from crm_core.model.entitlements import Entitlements, ModuleChoice, PlanGrant, RoleOverlay
from crm_core.model.modules import TenantModules, derive_modules
from crm_core.model.patterns import expand
from crm_core.model.permissions import token_keys, user_keys

ACTIONS = ("view", "create", "update", "delete", "export")
MODULES = ("customers", "deals", "tasks", "web")
CORE = frozenset({"users.manage", "sync.view"})
ROLES = Roles(
    {
        "super_admin": Role("super_admin", "Super admin", ()),
        "admin": Role("admin", "Admin", ("*", *CORE)),
        "agent": Role("agent", "Agent", ("customers.*", "deals.view", "*.export")),
    },
    CORE,
)


def matches(pattern: str, key: str) -> bool:
    """Whether a pattern covers a feature key."""
    module, _, action = key.partition(".")
    return pattern in ("*", key, f"{module}.*", f"*.{action}")


def keys_of(name: str) -> tuple[str, ...]:
    """The keys of a module."""
    return tuple(f"{name}.{action}" for action in ACTIONS)


CATALOG = Catalog(
    modules={
        "customers": Module("customers", "Customers", keys_of("customers"), order=1),
        "deals": Module("deals", "Deals", keys_of("deals"), requires=("customers",), order=2),
        "tasks": Module("tasks", "Tasks", keys_of("tasks"), order=3),
        "web": Module("web", "Web", keys_of("web"), group="web", order=4),
    },
    default_plan=PlanGrant("starter", "Starter", ("customers.*", "web.view")),
    policy=SyncPolicy(blocked_groups=frozenset({"web"})),
)


def plan(*features: str) -> PlanGrant:
    """A plan of these features."""
    return PlanGrant("p", "P", features)


def reasons(modules: TenantModules) -> dict[str, str | None]:
    """Why each module is not there."""
    return {name: state.reason for name, state in modules.states.items()}


def test_without_a_plan_the_default_plan_applies() -> None:
    """A tenant no one pushed to has what the catalog gives."""
    assert reasons(derive_modules(CATALOG, Entitlements())) == {
        "customers": None,
        "deals": "not_in_plan",
        "tasks": "not_in_plan",
        "web": None,
    }


def test_a_module_whose_need_is_missing_says_which() -> None:
    """Deals in the plan without customers are unavailable, and the reason names customers."""
    modules = derive_modules(CATALOG, Entitlements(plan=plan("deals.*")))
    assert reasons(modules)["deals"] == "requires:customers"
    assert not modules.allowed & set(keys_of("deals"))
    assert "deals.view" in modules.granted


def test_an_override_takes_one_key_and_leaves_the_module() -> None:
    """A key taken by an override is not allowed while its module stays."""
    modules = derive_modules(CATALOG, Entitlements(plan=plan("*"), overrides={"tasks.export": False}))
    assert reasons(modules)["tasks"] is None
    assert set(keys_of("tasks")) - modules.allowed == {"tasks.export"}


def test_a_module_switched_off_is_disabled_under_any_plan() -> None:
    """enabled: false wins over plan and overrides, and over those that require it."""
    modules = derive_modules(
        CATALOG,
        Entitlements(plan=plan("customers.*", "deals.*"), modules={"customers": ModuleChoice(enabled=False)}),
    )
    assert (reasons(modules)["customers"], reasons(modules)["deals"]) == ("disabled", "requires:customers")


@given(
    st.lists(st.sampled_from(["*", "web.*", "web.view", "*.view", "customers.*"])),
    st.dictionaries(st.sampled_from(keys_of("web")), st.booleans()),
    st.none() | st.booleans(),
)
def test_no_push_grants_or_takes_what_the_policy_blocks(
    features: list[str], overrides: dict[str, bool], enabled: bool | None
) -> None:
    """For a blocked module the local default plan alone decides, regardless of what is pushed."""
    pushed = Entitlements(plan=plan(*features), overrides=overrides, modules={"web": ModuleChoice(enabled, "Mine")})
    modules = derive_modules(CATALOG, pushed)
    assert {key for key in modules.allowed if key.startswith("web.")} == {"web.view"}
    assert modules.states["web"].title == "Web"


def test_titles_icons_and_order_follow_the_push() -> None:
    """A pushed title and icon of a module show; the menu is in the pushed order."""
    modules = derive_modules(
        CATALOG, Entitlements(modules={"tasks": ModuleChoice(title="To do", icon="check", order=0)})
    )
    assert next(iter(modules.states)) == "tasks"
    assert (modules.states["tasks"].title, modules.states["tasks"].icon) == ("To do", "check")


PATTERNS = st.sampled_from(["*", *(f"{m}.*" for m in MODULES), *(f"*.{a}" for a in ACTIONS), *sorted(CATALOG.keys)])
SETS = st.frozensets(st.sampled_from(sorted(CATALOG.keys)))
OVERLAYS = st.builds(RoleOverlay, st.lists(PATTERNS).map(tuple), st.lists(PATTERNS).map(tuple))


@given(st.lists(PATTERNS), SETS)
def test_expanding_is_matching_key_by_key(patterns: list[str], keys: frozenset[str]) -> None:
    """The set form and the one-key form of patterns agree."""
    assert expand(patterns, keys) == {key for key in keys if any(matches(pattern, key) for pattern in patterns)}


@given(st.sampled_from([*ROLES, "gone"]), SETS, OVERLAYS, st.none() | st.lists(PATTERNS))
def test_no_one_has_more_than_the_tenant(
    role: str, allowed: frozenset[str], overlay: RoleOverlay, assignment: list[str] | None
) -> None:
    """Rights are within what is allowed and the core's keys; denials and assignment only ever remove some."""
    overlays = {role: overlay} if role != "super_admin" else {}
    keys = user_keys(role, roles=ROLES, allowed=allowed, overlays=overlays, assignment=assignment)
    assert keys <= allowed | CORE
    free = user_keys(role, roles=ROLES, allowed=allowed, overlays={}, assignment=None)
    assert keys & CORE == free & CORE
    if role not in ("super_admin", "gone"):
        assert not (keys - CORE) & expand(overlay.deny, allowed)
        if assignment is not None:
            assert keys - CORE <= expand(assignment, allowed)


def test_a_super_admin_has_all_that_is_allowed_and_the_core() -> None:
    """Even a plan that knows no users leaves a super admin managing them."""
    allowed = frozenset({"customers.view"})
    assert user_keys("super_admin", roles=ROLES, allowed=allowed, overlays={}, assignment=None) == allowed | CORE


@pytest.mark.parametrize(
    ("scope", "actions"),
    [("deals:read", {"view", "export"}), ("deals:write", {"create", "update"}), ("sync:read", set())],
)
def test_scopes_are_pairs_of_actions(scope: str, actions: set[str]) -> None:
    """A token's scope covers its two actions of its module, within what is allowed."""
    assert token_keys([scope], CATALOG.keys) == {f"deals.{action}" for action in actions}
    assert token_keys([scope], frozenset()) == frozenset()


@pytest.mark.parametrize("assignment", [None, ("users.*",), ("*.manage",)])
def test_a_module_named_like_a_core_key_gives_none_of_the_cores_keys(assignment: tuple[str, ...] | None) -> None:
    """A catalog module ``users`` with an action ``manage`` makes no one an admin, by role, plan or overlay."""
    allowed = frozenset({"users.view", "users.manage"})
    roles = Roles({"all": Role("all", "All", ("*",)), "admin": ROLES["admin"]}, CORE)
    overlays = {"all": RoleOverlay(grant=("users.*", "*.manage"))}
    found = {
        role: user_keys(role, roles=roles, allowed=allowed, overlays=overlays, assignment=assignment) for role in roles
    }
    assert "users.manage" not in found["all"]
    assert found["admin"] >= CORE

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.errors import (
    AccessError,
    FeatureUnavailable,
    InsufficientScope,
    ModuleUnavailable,
    PermissionDenied,
    SubscriptionSuspended,
)
from crm_core.model.caller import Caller
from crm_core.model.catalog import Catalog, Roles
from crm_core.model.entitlements import Entitlements, ModuleChoice, PlanGrant, RoleOverlay, Subscription
from crm_core.model.modules import derive_modules
from crm_core.model.permissions import SUPER_ADMIN
from crm_core.settings.catalog import built_in_catalog
from crm_core.settings.roles import built_in_roles
from crm_core.workspace import Workspace, keys_of, may, require, require_scope, rights

CATALOG = built_in_catalog()
ROLES = built_in_roles()
KEYS = sorted(CATALOG.keys)
PATTERNS = st.sampled_from([*KEYS, *(f"{name}.*" for name in CATALOG.modules), "*.view", "*.export", "*.edit"])
LISTS = st.lists(PATTERNS, max_size=6).map(tuple)


def workspace(entitlements: Entitlements, catalog: Catalog = CATALOG, roles: Roles = ROLES) -> Workspace:
    """A workspace of these entitlements."""
    return Workspace("north", 1, 1, catalog, roles, {}, entitlements, derive_modules(catalog, entitlements))


def plan(*features: str) -> PlanGrant:
    """A plan of these features."""
    return PlanGrant("p", "P", features)


def token(*scopes: str) -> Caller:
    """A token with these scopes."""
    return Caller(kind="token", id="t", name="", revision=1, scopes=frozenset(scopes))


def user(role: str, assignment: tuple[str, ...] | None = None) -> Caller:
    """A user of this role."""
    return Caller(kind="user", id="u", name="", revision=1, role=role, assignment=assignment, session="s")


ENTITLEMENTS = st.builds(
    Entitlements,
    plan=st.none() | st.builds(plan, *[PATTERNS] * 3),
    overrides=st.dictionaries(st.sampled_from(KEYS), st.booleans(), max_size=4),
    modules=st.dictionaries(
        st.sampled_from(sorted(CATALOG.modules)), st.builds(ModuleChoice, enabled=st.booleans()), max_size=2
    ),
    roles=st.dictionaries(
        st.sampled_from(["admin", "manager", "agent", "viewer"]), st.builds(RoleOverlay, LISTS, LISTS), max_size=2
    ),
)
CALLERS = st.one_of(
    st.builds(user, st.sampled_from([*ROLES, "gone"]), st.none() | LISTS),
    st.lists(st.sampled_from(["customers:read", "customers:write", "deals:read", "tasks:write", "sync:read"])).map(
        lambda scopes: token(*scopes)
    ),
)


def matches(pattern: str, key: str) -> bool:
    """Whether a pattern covers a feature key."""
    module, _, action = key.partition(".")
    return pattern in ("*", key, f"{module}.*", f"*.{action}")


def has_right(at: Workspace, caller: Caller, key: str) -> bool:
    """The rule of the contract for one key, said again and without the sets that the product works with."""
    module, _, action = key.partition(".")
    if key not in at.modules.allowed:
        return False
    if caller.kind == "token":
        access = {"view": "read", "export": "read", "create": "write", "update": "write", "delete": "delete"}
        return action in access and f"{module}:{access[action]}" in caller.scopes
    if caller.role == SUPER_ADMIN:
        return True
    if caller.role not in ROLES:
        return False
    overlay = at.entitlements.roles.get(caller.role, RoleOverlay())
    if module in CATALOG.blocked:
        overlay = RoleOverlay()
    granted = any(matches(one, key) for one in (*ROLES[caller.role].grant, *overlay.grant))
    denied = any(matches(one, key) for one in overlay.deny)
    assigned = caller.assignment is None or any(matches(one, key) for one in caller.assignment)
    return granted and not denied and assigned


@given(ENTITLEMENTS, CALLERS, st.sampled_from(KEYS))
def test_the_sets_agree_with_the_rule_for_one_key(entitlements: Entitlements, caller: Caller, key: str) -> None:
    """For any plan, overrides, overlay, role, assignment and scopes, a caller has exactly the keys of the rule."""
    at = workspace(entitlements)
    assert (key in keys_of(at, caller)) is has_right(at, caller, key)
    assert keys_of(at, caller) is keys_of(at, caller)


@given(ENTITLEMENTS, CALLERS, st.sampled_from(KEYS))
def test_a_key_is_refused_exactly_if_the_caller_lacks_it(entitlements: Entitlements, caller: Caller, key: str) -> None:
    """The guard lets through what the caller has and nothing else, and names the first reason in order."""
    at = workspace(entitlements)
    module = key.partition(".")[0]
    try:
        require(at, caller, key)
        refusal: type[AccessError] | None = None
    except AccessError as error:
        refusal = type(error)
    assert (refusal is None) is has_right(at, caller, key)
    if refusal is ModuleUnavailable:
        assert at.modules.states[module].state == "unavailable"
    if refusal is FeatureUnavailable:
        assert at.modules.states[module].state == "available"
        assert key not in at.modules.granted
    if refusal is PermissionDenied:
        assert caller.kind == "user"
        assert key in at.modules.allowed
    if refusal is InsufficientScope:
        assert caller.kind == "token"


def test_the_refusals_come_in_their_order() -> None:
    """If several apply, scope comes before module, feature, person and subscription."""
    suspended = Subscription("suspended")
    nothing = workspace(Entitlements(plan=plan("customers.view"), subscription=suspended))
    lacking = [
        (nothing, token("customers:write"), "deals.view", InsufficientScope),
        (nothing, token("deals:read"), "deals.view", ModuleUnavailable),
        (nothing, user("viewer"), "deals.create", ModuleUnavailable),
        (nothing, user("viewer"), "customers.create", FeatureUnavailable),
        (workspace(Entitlements(subscription=suspended)), user("viewer"), "customers.create", PermissionDenied),
        (workspace(Entitlements(subscription=suspended)), user("agent"), "customers.create", SubscriptionSuspended),
        (nothing, token("spaceships:read"), "spaceships.view", ModuleUnavailable),
        (nothing, token("customers:read"), "website.edit", InsufficientScope),
    ]
    for at, caller, key, refusal in lacking:
        with pytest.raises(refusal):
            require(at, caller, key, writes=True)
    require(nothing, user("viewer"), "customers.view")


def test_a_module_without_what_it_requires_says_so() -> None:
    """A plan of deals without customers: deals are unavailable, and the refusal names the reason."""
    with pytest.raises(ModuleUnavailable) as caught:
        require(workspace(Entitlements(plan=plan("deals.*"))), user("super_admin"), "deals.view")
    assert caught.value.evidence == {"module": "deals", "reason": "requires:customers"}


def test_an_override_takes_a_feature_and_leaves_its_module() -> None:
    """deals.export taken away is feature_unavailable for a manager, while deals stay readable."""
    at = workspace(Entitlements(plan=plan("customers.*", "deals.*"), overrides={"deals.export": False}))
    require(at, user("manager"), "deals.view")
    with pytest.raises(FeatureUnavailable):
        require(at, user("manager"), "deals.export")


def test_the_cores_own_keys_come_from_roles_alone() -> None:
    """A plan that knows no users leaves a super admin managing them; no assignment, overlay or token reaches there."""
    at = workspace(Entitlements(plan=plan("tasks.view"), roles={"viewer": RoleOverlay(grant=("*.view",))}))
    require_scope(at, user("super_admin"), scope=None, key="users.manage")
    require_scope(at, user("admin", ()), scope=None, key="users.manage")
    with pytest.raises(PermissionDenied):
        require_scope(at, user("manager"), scope=None, key="users.manage")
    with pytest.raises(InsufficientScope):
        require_scope(at, token("sync:admin"), scope=None, key="users.manage")
    require_scope(at, token("sync:read"), scope="sync:read", key="sync.view")


def test_the_cache_of_rights_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many assignments come by, a workspace remembers only so many."""
    monkeypatch.setattr(rights, "_MOST_CACHED", 8)
    at = workspace(Entitlements())
    for number in range(50):
        keys_of(at, user("agent", ("customers.*",) * number))
    assert len(at.rights) <= 8


def test_a_record_type_without_a_module_is_guarded_by_the_keys_of_another() -> None:
    """Users need the key of the module; tokens the scope of the type, and the module's key in the plan."""
    catalog = Catalog(CATALOG.modules, CATALOG.default_plan, CATALOG.policy, {"calls": "customers"})
    sold = workspace(Entitlements(plan=plan("customers.view", "customers.create")), catalog)
    agent = user("agent", ("customers.view",))
    require(sold, agent, "calls.view")
    with pytest.raises(PermissionDenied, match=r"customers\.create"):
        require(sold, agent, "calls.create")
    with pytest.raises(FeatureUnavailable, match=r"customers\.update"):
        require(sold, token("calls:write"), "calls.update")
    require(sold, token("calls:write"), "calls.create")
    with pytest.raises(InsufficientScope, match="calls:write"):
        require(sold, token("customers:write"), "calls.create")
    callers = (agent, token("calls:read"), token("customers:read"))
    assert [may(sold, one, "calls.view") for one in callers] == [True, True, False]
    bare = workspace(Entitlements(plan=plan("deals.view")), catalog)
    with pytest.raises(ModuleUnavailable, match="customers"):
        require(bare, token("calls:read"), "calls.view")

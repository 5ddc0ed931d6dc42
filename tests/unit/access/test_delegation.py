from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crm_core.access.delegation import (
    may_manage,
    named_role,
    powers_of,
    require_may_change,
    require_may_give,
    require_may_manage,
)
from crm_core.access.signin import INVITATION, RESET
from crm_core.errors import InvalidRecord, PermissionDenied, RevisionMismatch, Unauthenticated
from crm_core.model.caller import Caller
from crm_core.model.catalog import Roles
from crm_core.settings.catalog import load_catalog
from crm_core.settings.roles import load_roles

FILE = """\
roles:
  clerk: {grant: ["*", users.manage]}
  lead: {grant: [users.manage, sync.view]}
  auditor: {grant: ["*.view", sync.view]}
  deputy: {grant: ["*", users.manage, sync.view, sync.restore, smtp.test, records.erase]}
"""
CAN_MANAGE = {
    "super_admin": {"super_admin", "admin", "deputy", "lead", "clerk", "auditor", "agent", "gone"},
    "admin": {"admin", "deputy", "lead", "clerk", "auditor", "agent", "gone"},
    "deputy": {"admin", "deputy", "lead", "clerk", "auditor", "agent", "gone"},
    "lead": {"lead", "clerk", "auditor", "agent", "gone"},
    "clerk": {"clerk", "agent", "gone"},
    "agent": {"agent", "gone"},
    "gone": {"agent", "gone"},
}
"""For each role of a caller the roles that it may give and manage; ``gone`` is one that no file names any more."""


@pytest.fixture
def roles(tmp_path: Path) -> Roles:
    """The built-in roles and those of these tests."""
    path = tmp_path / "roles.yaml"
    path.write_text(FILE)
    return load_roles(path, catalog=load_catalog(tmp_path / "modules.yaml", record_types=()))


@pytest.fixture
def team(access: Any, roles: Roles) -> Any:
    """Access with the roles of these tests."""
    access.files.roles = roles
    access.files.generation = 2
    return access


async def test_a_user_who_leaves_their_access_as_it_is_changes_the_rest(team: Any, roles: Roles) -> None:
    """Members that a patch removes have their defaults: no assignment, and not disabled."""
    stored = await team.user()
    by = await team.caller(stored)
    require_may_change(stored.user, {"role": "admin", "name": "Ada"}, by, roles)
    for change in ({"disabled": True}, {"assignment": ["customers.*"]}, {"role": "agent"}):
        with pytest.raises(PermissionDenied, match="You cannot change your own role or access"):
            require_may_change(stored.user, {"role": "admin"} | change, by, roles)


def user(role: str) -> Caller:
    return Caller(kind="user", id="u", name="", revision=1, role=role, session="s")


@pytest.mark.parametrize("by", CAN_MANAGE)
@pytest.mark.parametrize("role", sorted(CAN_MANAGE["super_admin"]))
def test_a_caller_manages_the_roles_of_the_table(by: str, role: str, roles: Roles) -> None:
    """A role may be given, and its users changed, exactly by callers who have all of its core keys."""
    assert may_manage(role, user(by), roles) is (role in CAN_MANAGE[by])
    if role not in CAN_MANAGE[by]:
        with pytest.raises(PermissionDenied):
            require_may_manage(role, user(by), roles)


def test_an_operator_may_do_everything_and_a_token_nothing(roles: Roles) -> None:
    """On the machine every role can be given; a token has no core key, regardless of its scopes."""
    token = Caller(kind="token", id="t", name="", revision=1, scopes=frozenset({"sync:admin"}))
    assert all(may_manage(role, None, roles) for role in roles)
    assert {role for role in roles if may_manage(role, token, roles)} == {"manager", "agent", "viewer"}


def test_a_refusal_names_what_is_lacking(roles: Roles) -> None:
    """The problem names the missing core key; for a super admin it says who can do it."""
    with pytest.raises(PermissionDenied, match=r"Auditor includes sync\.view") as caught:
        require_may_manage("auditor", user("clerk"), roles)
    assert caught.value.evidence == {"feature": "sync.view"}
    with pytest.raises(PermissionDenied, match=r"includes records\.erase, smtp\.test, sync\.restore, which"):
        require_may_manage("deputy", user("lead"), roles)
    with pytest.raises(PermissionDenied, match="Only a super admin"):
        require_may_manage("super_admin", user("deputy"), roles)


async def test_a_role_is_judged_by_its_grants_and_no_push_changes_that(team: Any) -> None:
    """Without any plan, and with an overlay over everything, an admin is still out of a clerk's reach."""
    admin = await team.user("admin@example.com", "admin")
    clerk = await team.caller(await team.user("clerk@example.com", "clerk"))
    overlay = {"admin": {"deny": ["customers.*", "deals.*"]}, "clerk": {"grant": ["*.view", "customers.*"]}}
    await team.push({"plan": {"code": "none", "name": "None", "features": []}, "roles": overlay})
    with pytest.raises(PermissionDenied):
        await team.users.update("north", admin.user.id, {"name": "X"}, clerk)


@pytest.mark.parametrize(
    "patch",
    [
        {"name": "X"},
        {"email": "mine@example.com"},
        {"password": "another long one"},
        {"disabled": True},
        {"assignment": []},
        {"role": "agent"},
        {},
    ],
)
async def test_no_member_of_a_greater_user_can_be_changed(team: Any, patch: dict[str, Any]) -> None:
    """Each member is closed, the address too: a password link to another address would be the account."""
    target = await team.user("auditor@example.com", "auditor")
    clerk = await team.caller(await team.user("clerk@example.com", "clerk"))
    lead = await team.caller(await team.user("lead@example.com", "lead"))
    with pytest.raises(PermissionDenied):
        await team.users.update("north", target.user.id, patch, clerk)
    assert await team.users.get("north", target.user.id) == target
    await team.users.update("north", target.user.id, patch, lead)


async def test_no_role_beyond_the_callers_is_given(team: Any) -> None:
    """Neither a new user nor an existing one gets a core key from a caller without it."""
    clerk = await team.caller(await team.user("clerk@example.com", "clerk"))
    agent = await team.user("agent@example.com", "agent")
    for role in ("super_admin", "admin", "auditor", "lead"):
        with pytest.raises(PermissionDenied):
            await team.users.create("north", {"email": "new@example.com", "role": role}, clerk)
        with pytest.raises(PermissionDenied):
            await team.users.update("north", agent.user.id, {"role": role}, clerk)
    await team.users.create("north", {"email": "new@example.com", "role": "clerk"}, clerk)
    await team.users.update("north", agent.user.id, {"role": "manager"}, clerk)


@pytest.mark.parametrize("role", ["super_admin", "admin", "clerk"])
async def test_own_role_and_access_are_for_another_admin(team: Any, role: str) -> None:
    """Users change their own name and password, and send back what they are; role, assignment and disabled not."""
    stored = await team.user("me@example.com", role, assignment=["customers.*"])
    me = await team.caller(stored)
    for patch in ({"role": "agent"}, {"assignment": None}, {"assignment": []}, {"disabled": True}, {"assignment": 5}):
        with pytest.raises(PermissionDenied, match="your own"):
            await team.users.update("north", me.id, {"name": "X", **patch}, me)
    assert (await team.users.get("north", me.id)).revision == 1
    same = {"role": role, "assignment": ["customers.*"], "disabled": False}
    await team.users.update("north", me.id, {"name": "New", "email": "new@example.com", **same}, me)
    with pytest.raises(InvalidRecord):
        await team.users.update("north", me.id, ["no object"], me)


async def test_the_right_is_refused_before_anything_is_said_of_the_input(team: Any) -> None:
    """A refusal comes before the revision and before findings, so it says nothing about either."""
    admin = await team.user("admin@example.com", "admin")
    clerk = await team.caller(await team.user("clerk@example.com", "clerk"))
    with pytest.raises(PermissionDenied):
        await team.users.update("north", admin.user.id, {"email": "no"}, clerk, revisions=[7])
    with pytest.raises(PermissionDenied):
        await team.users.create("north", {"email": "no", "role": "admin", "colour": "red"}, clerk)
    with pytest.raises(RevisionMismatch):
        await team.users.update("north", clerk.id, {"email": "no"}, clerk, revisions=[7])


@pytest.mark.parametrize("data", [None, [], {"role": 5}, {"role": ["admin"]}, {}])
def test_input_that_names_no_role_gives_none(data: Any, roles: Roles) -> None:
    """Senseless input names a role without powers; validation refuses it afterwards."""
    assert powers_of(named_role(data), roles) == frozenset()


async def test_a_link_is_for_callers_who_could_set_the_password(team: Any) -> None:
    """Neither a reset nor an invitation link of a greater user is made for a caller, whether shown or sent."""
    clerk = await team.caller(await team.user("clerk@example.com", "clerk"))
    invited = await team.users.create("north", {"email": "new@example.com", "role": "admin"}, None)
    for stored in (await team.user("auditor@example.com", "auditor"), invited):
        with pytest.raises(PermissionDenied):
            await team.signin.link("north", stored.user.id, RESET, by=clerk)
    agent = await team.user("agent@example.com", "agent")
    assert await team.signin.link("north", agent.user.id, RESET, by=clerk)


@pytest.mark.parametrize(("before", "after"), [("agent", "auditor"), ("deputy", "super_admin")])
async def test_a_link_ends_when_its_user_gets_a_greater_role(team: Any, before: str, after: str) -> None:
    """A link that was shown while the user could do less does not open the account that can do more."""
    stored = await team.users.create("north", {"email": "new@example.com", "role": before}, None)
    text = await team.signin.link("north", stored.user.id, INVITATION, by=None)
    await team.users.update("north", stored.user.id, {"role": after}, None)
    for work in (
        team.signin.user_of_link("north", text),
        team.signin.set_password_by_link("north", text, "a long password"),
    ):
        with pytest.raises(Unauthenticated):
            await work
    await team.users.update("north", stored.user.id, {"role": "viewer"}, None)
    await team.signin.set_password_by_link("north", text, "a long password")


async def test_a_link_of_an_earlier_version_opens_no_account_with_core_keys(team: Any) -> None:
    """Links made before they were bound to a role are good for users without core keys alone."""
    agent, admin = await team.user("agent@example.com", "agent"), await team.user("admin@example.com", "admin")
    made = [team.signin._signed.make("password", "north", one.user.id, 0, lifetime=RESET) for one in (agent, admin)]
    assert (await team.signin.user_of_link("north", made[0])).user.id == agent.user.id
    with pytest.raises(Unauthenticated):
        await team.signin.user_of_link("north", made[1])


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        ("customers:read", {"super_admin", "admin", "lead", "clerk"}),
        ("customers:write", {"super_admin", "admin", "lead", "clerk"}),
        ("sync:health", {"super_admin", "admin", "lead"}),
        ("sync:read", {"super_admin", "admin", "lead"}),
        ("sync:admin", {"super_admin", "admin"}),
        ("customers:erase", {"super_admin", "admin"}),
    ],
)
def test_a_scope_is_given_by_callers_who_have_its_core_key(scope: str, may: set[str], roles: Roles) -> None:
    """A token may do nothing beyond modules that the user who creates it may not do."""
    for role in ("super_admin", "admin", "lead", "clerk"):
        if role in may:
            require_may_give(["customers:read", scope], user(role), roles)
        else:
            with pytest.raises(PermissionDenied) as caught:
                require_may_give(["customers:read", scope], user(role), roles)
            assert caught.value.evidence["feature"] in roles.core_keys


async def test_a_token_is_made_and_revoked_by_callers_who_could_give_it(team: Any) -> None:
    """A clerk neither makes nor ends a token with a scope for a core key, and what they tried leaves no token."""
    clerk = await team.caller(await team.user("clerk@example.com", "clerk"))
    lead = await team.caller(await team.user("lead@example.com", "lead"))
    with pytest.raises(PermissionDenied):
        await team.tokens.create("north", scopes=["sync:read", "no:scope"], by=clerk)
    assert await team.tokens.list("north") == []
    _, token = await team.tokens.create("north", scopes=["sync:read"], by=lead)
    with pytest.raises(PermissionDenied):
        await team.tokens.revoke("north", token.id, by=clerk)
    assert [one.revoked_at for one in await team.tokens.list("north")] == [None]
    await team.tokens.revoke("north", token.id, by=lead)
    _, plain = await team.tokens.create("north", scopes=["customers:read"], by=clerk)
    await team.tokens.revoke("north", plain.id, by=clerk)

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from crm_core.access.user import StoredUser, terms
from crm_core.errors import InvalidRecord, LimitReached, NotFound, PermissionDenied, RevisionMismatch
from crm_core.model.caller import Caller
from crm_core.model.list_views import LIST_VIEWS
from crm_core.plugin.query import PageQuery, Term
from crm_core.plugin.storage import Put, Unit

PASSWORD = "correct horse battery"


async def faults(work: Any) -> dict[str, str]:
    """Pointers and codes of what was refused, each place once."""
    with pytest.raises(InvalidRecord) as caught:
        await work
    assert len({finding.pointer for finding in caught.value.errors}) == len(caught.value.errors)
    return {finding.pointer: finding.code for finding in caught.value.errors}


async def test_the_wire_form_has_exactly_the_documented_members(access: Any) -> None:
    """The wire form of a user contains neither the password nor any other stored-only member."""
    stored = await access.user(name="Ada")
    assert stored.to_wire() == {
        "id": stored.user.id,
        "email": "ada@example.com",
        "name": "Ada",
        "role": "admin",
        "assignment": None,
        "disabled": False,
        "revision": 1,
    }
    assert PASSWORD not in repr(stored)
    assert "argon2" not in repr(stored)


async def test_a_user_is_stored_with_what_lists_sort_and_search_by(access: Any) -> None:
    """The name, or the address of a user without one; both without regard to case."""
    named = (await access.user("Ada@Example.com", name="Ada L.", disabled=True)).user
    assert named.put().indexes == {
        "email": "ada@example.com", "name": "ada l.", "created_at": "2026-11-24T02:00:00.000Z", "role": "admin",
        "disabled": True, "rules": False, "words": ("ada", "com", "example", "l"),
    }  # fmt: skip
    ruling = (await access.user("Root@example.com", role="super_admin")).user
    indexes = ruling.put().indexes
    assert (indexes["name"], indexes["rules"], indexes["disabled"]) == ("root@example.com", True, False)
    assert indexes["words"] == ("com", "example", "root")


async def test_a_user_is_the_caller_of_a_request(access: Any) -> None:
    """By name, or by the address of a user without one, with what says what they may."""
    stored = await access.user(name="Ada", assignment=["customers.*"])
    speaking = StoredUser(msgspec.structs.replace(stored.user, language="de"), 7)
    assert speaking.caller("s1") == Caller(
        kind="user", id=stored.user.id, name="Ada", revision=7, role="admin", email="ada@example.com",
        assignment=("customers.*",), session="s1", language="de",
    )  # fmt: skip
    assert (await access.user("eve@example.com")).caller("s2").name == "eve@example.com"


async def test_every_fault_of_a_new_user_is_named_together(access: Any) -> None:
    """Form, role, assignment, password and unknown members are all reported, each with its pointer."""
    data = {
        "email": "no address",
        "role": "Agent of all",
        "assignment": ["customers.*", "customer.*", "*.export", "deals.fly", "*"],
        "password": "short",
        "id": "1",
        "colour": "red",
    }
    assert await faults(access.users.create("north", data, None)) == {
        "/email": "invalid_value",
        "/role": "invalid_value",
        "/assignment/1": "invalid_value",
        "/assignment/3": "invalid_value",
        "/assignment/4": "invalid_value",
        "/password": "invalid_value",
        "/id": "read_only",
        "/colour": "unknown_member",
    }


@pytest.mark.parametrize("data", [None, [], 5, "x", {}, {"email": 5, "role": {}}, {"email": "a@b.de", "role": None}])
async def test_bodies_that_are_no_user_are_refused(access: Any, data: Any) -> None:
    """Anything but an object with an address and a role is refused with findings, regardless of type."""
    assert await faults(access.users.create("north", data, None))


async def test_an_address_is_unique_regardless_of_case(access: Any) -> None:
    """A second user with the same address is refused, also when both come at one moment."""
    await access.user("Ada@Example.com")
    assert await faults(access.user("ada@example.COM")) == {"/email": "taken"}
    other = await access.user("bob@example.com")
    assert await faults(access.users.update("north", other.user.id, {"email": "ADA@example.com"}, None)) == {
        "/email": "taken"
    }
    both = await asyncio.gather(*(access.user("eve@example.com") for _ in range(2)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in both) == ["InvalidRecord", "StoredUser"]
    assert (await access.users.by_email("north", " EVE@example.com")).user.email == "eve@example.com"
    assert await access.users.by_email("south", "eve@example.com") is None


async def test_a_merge_patch_changes_what_it_names(access: Any) -> None:
    """Members left out stay, null takes away, and a patch that changes nothing makes no revision."""
    stored = await access.user(name="Ada", assignment=["customers.*"])
    first = await access.users.update("north", stored.user.id, {"role": "agent", "name": None}, None)
    assert first.to_wire() | {"revision": 2} == stored.to_wire() | {"role": "agent", "name": None, "revision": 2}
    assert first.user.assignment == ("customers.*",)
    assert (await access.users.update("north", stored.user.id, {"role": "agent"}, None)).revision == first.revision
    assert await faults(access.users.update("north", stored.user.id, {"email": None}, None)) == {
        "/email": "missing_member"
    }
    with pytest.raises(NotFound):
        await access.users.update("south", stored.user.id, {"role": "agent"}, None)


async def test_if_match_binds_a_change_to_a_revision(access: Any) -> None:
    """A change on an older revision is refused; without one, changes at one moment all go through."""
    stored = await access.user()
    with pytest.raises(RevisionMismatch):
        await access.users.update("north", stored.user.id, {"name": "X"}, None, revisions=[7])
    names = [f"N{number}" for number in range(8)]
    await asyncio.gather(*(access.users.update("north", stored.user.id, {"name": name}, None) for name in names))
    after = await access.users.get("north", stored.user.id)
    assert after.revision == 9
    guarded = [access.users.update("north", stored.user.id, {"name": name}, None, revisions=[9]) for name in ("A", "B")]
    outcomes = await asyncio.gather(*guarded, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["RevisionMismatch", "StoredUser"]


async def test_disabling_a_user_removes_the_saved_views(access: Any) -> None:
    """The views that a disabled user saved for lists go in the same unit; those of others stay."""
    users = [await access.user(f"u{number}@example.com") for number in range(2)]
    await access.user("root@example.com", "super_admin")
    puts = tuple(Put(LIST_VIEWS, stored.user.id, b"{}") for stored in users)
    await access.backend.commit("north", Unit(now=0, puts=puts))
    await access.users.update("north", users[0].user.id, {"disabled": True}, None)
    assert [document.id async for document in access.backend.documents("north", LIST_VIEWS)] == [users[1].user.id]


async def test_only_a_super_admin_makes_or_changes_one(access: Any) -> None:
    """An admin can neither become nor make, rename or disable a super admin; a super admin can."""
    ruler = await access.caller(await access.user("root@example.com", "super_admin"))
    admin = await access.caller(await access.user("admin@example.com", "admin"))
    new = {"email": "new@example.com", "role": "super_admin"}
    for work in (
        access.users.create("north", new, admin),
        access.users.update("north", admin.id, {"role": "super_admin"}, admin),
        access.users.update("north", ruler.id, {"name": "X"}, admin),
        access.users.update("north", ruler.id, {"password": "another long one"}, admin),
    ):
        with pytest.raises(PermissionDenied):
            await work
    made = await access.users.create("north", new, ruler)
    assert made.user.created_by == ruler.actor
    await access.users.update("north", made.user.id, {"role": "agent"}, ruler)


async def test_the_last_super_admin_stays(access: Any) -> None:
    """The last super admin who can sign in can be neither disabled nor given another role, by any caller."""
    only = await access.user("root@example.com", "super_admin")
    await access.users.create("north", {"email": "invited@example.com", "role": "super_admin"}, None)
    await access.user("off@example.com", "super_admin", disabled=True)
    update = access.users.update
    assert await faults(update("north", only.user.id, {"role": "admin"}, None)) == {"/role": "last_super_admin"}
    assert await faults(update("north", only.user.id, {"disabled": True}, None)) == {"/disabled": "last_super_admin"}
    second = await access.user("second@example.com", "super_admin")
    ids = (only.user.id, second.user.id)
    both = await asyncio.gather(
        *(update("north", one, {"disabled": True}, None) for one in ids), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["InvalidRecord", "StoredUser"]


async def test_limits_stop_creates_and_nothing_else(access: Any) -> None:
    """Of many creates at one moment against two free places two go through; changes always do."""
    first = await access.user()
    await access.push({"limits": {"users": 3}})
    made = await asyncio.gather(
        *(access.users.create("north", {"email": f"u{n}@example.com", "role": "agent"}, None) for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, LimitReached) for one in made) == 6
    await access.push({"limits": {"users": 0}})
    await access.users.update("north", first.user.id, {"name": "Still here"}, None)
    with pytest.raises(LimitReached):
        await access.user("late@example.com")


async def test_what_a_role_or_pattern_became_stops_no_other_change(access: Any) -> None:
    """A user whose role or assignment is no longer known can be renamed; giving such a role again is refused."""
    stored = await access.user(role="agent", assignment=["deals.*"])
    others = {name: role for name, role in access.files.roles.roles.items() if name != "agent"}
    access.files.roles = type(access.files.roles)(others, access.files.roles.core_keys)
    access.files.generation = 2
    renamed = await access.users.update("north", stored.user.id, {"name": "Ada"}, None)
    assert renamed.user.role == "agent"
    assert await faults(access.user("b@example.com", "agent")) == {"/role": "invalid_value"}


async def test_users_are_found_by_words_and_sorted(access: Any) -> None:
    """Name and address are searched by beginnings of words, filters and sort go by index."""
    for name, email, role in (("Ada L", "ada@x.de", "admin"), ("Bob", "bob@y.de", "agent"), (None, "cy@x.de", "agent")):
        await access.user(email, role, name=name)

    async def found(**more: Any) -> list[str]:
        query = PageQuery(collection="users", **{"sort": "email"} | more)
        return [stored.user.email for stored in (await access.users.page("north", query))[0]]

    assert await found(terms=(Term("x"),)) == ["ada@x.de", "cy@x.de"]
    assert await found(terms=(Term("ad"),)) == ["ada@x.de"]
    await access.user("eve@z.de", "agent", name="Éva")
    assert await found(terms=terms("E\u0301va")) == ["eve@z.de"]  # typed in another normal form
    assert await found(filters=(("role", ("agent",)),), descending=True) == ["eve@z.de", "cy@x.de", "bob@y.de"]
    assert await found(sort="name", descending=True, limit=2) == ["eve@z.de", "cy@x.de"]


async def test_users_are_counted_by_tenant(access: Any) -> None:
    """The count is of one tenant's users, disabled ones included."""
    await access.user()
    await access.user(email="grace@example.com", disabled=True)
    assert await access.users.count("north") == 2
    assert await access.users.count("south") == 0

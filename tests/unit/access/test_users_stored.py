"""Changes of users as they are stored, and what goes with them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from crm_core.access.user import USERS
from crm_core.errors import InvalidRecord, LimitReached, StorageUnavailable, Unauthenticated
from crm_core.plugin.storage import Conflict, DocumentAt, Unit

LATER = "2026-11-24T02:00:05.000Z"


async def test_only_disabling_a_user_revokes_their_tokens(access: Any) -> None:
    """Those that the user made; another change of the user, and of another one, leaves them."""
    stored = [await access.user(email) for email in ("ada@example.com", "eve@example.com")]
    callers = [await access.caller(each) for each in stored]
    texts = [(await access.tokens.create("north", scopes=["customers:read"], by=by))[0] for by in callers]
    ada = stored[0].user.id
    await access.users.update("north", ada, {"name": "Ada"}, None)
    for text in texts:
        assert (await access.tokens.caller("north", text)).kind == "token"
    access.clock.forward(seconds=5)
    await access.users.update("north", ada, {"disabled": True}, None)
    with pytest.raises(Unauthenticated):
        await access.tokens.caller("north", texts[0])
    assert (await access.tokens.caller("north", texts[1])).kind == "token"
    assert [token.revoked_at for token in await access.tokens.list("north")] == [LATER, None]


async def test_a_change_names_its_author_and_its_time(access: Any) -> None:
    """The time and the author of the first version stay."""
    by = await access.caller(await access.user("root@example.com", "super_admin"))
    stored = await access.user()
    access.clock.forward(seconds=5)
    after = (await access.users.update("north", stored.user.id, {"name": "Ada"}, by)).user
    assert after == msgspec.structs.replace(stored.user, name="Ada", updated_at=LATER, updated_by=by.actor)


async def test_a_new_password_is_a_change_of_its_user(access: Any) -> None:
    """It begins a new epoch; what was valid before, as a role that left the files, does not prevent it."""
    stored = await access.user()
    gone = await access.users.replace("north", stored, msgspec.structs.replace(stored.user, role="clerk"))
    access.clock.forward(seconds=5)
    after = (await access.users.set_password("north", gone, "another horse battery", "user:1")).user
    assert after == msgspec.structs.replace(
        gone.user, password=after.password, epoch=1, updated_at=LATER, updated_by="user:1"
    )
    assert await access.passwords.verify(after.password, "another horse battery")
    with pytest.raises(InvalidRecord):
        await access.users.set_password("north", gone, "Ada@example.com", "operator")
    by = await access.caller(await access.user("root@example.com", "super_admin"))
    eve = (await access.user("eve@example.com")).user
    access.clock.forward(seconds=5)
    after = (await access.users.update("north", eve.id, {"password": "another horse battery"}, by)).user
    assert (after.epoch, after.updated_at, after.updated_by) == (1, "2026-11-24T02:00:10.000Z", by.actor)


async def refused(work: Any) -> tuple[str, str]:
    """Place and code of the one finding, whose message is that of the refusal."""
    with pytest.raises(InvalidRecord) as caught:
        await work
    (finding,) = caught.value.errors
    assert finding.message == caught.value.detail
    return finding.pointer, finding.code


async def test_the_last_super_admin_stays(access: Any) -> None:
    """The refusal is at the member that would end it, and says what to do."""
    root, message = (await access.user("root@example.com", "super_admin")).user, "Make another one first"
    for patch, pointer in (({"disabled": True}, "/disabled"), ({"role": "admin"}, "/role")):
        assert await refused(access.users.update("north", root.id, patch, None)) == (pointer, "last_super_admin")
        with pytest.raises(InvalidRecord, match=rf"^This is the last super admin who can sign in\. {message}\.$"):
            await access.users.update("north", root.id, patch, None)
    await access.user("other@example.com", "super_admin")
    assert (await access.users.update("north", root.id, {"role": "admin"}, None)).user.role == "admin"


async def test_an_address_that_is_taken_is_named(access: Any) -> None:
    """At its place, with what to do."""
    await access.user()
    assert await refused(access.user()) == ("/email", "taken")
    with pytest.raises(InvalidRecord, match=r"^Another user has this email address\. Enter a different one\.$"):
        await access.user()


async def test_disabling_a_user_begins_a_new_epoch(access: Any) -> None:
    """It ends all sessions; enabling the user again does not bring them back."""
    stored = await access.user()
    for disabled, epoch in ((True, 1), (True, 1), (False, 1)):
        after = (await access.users.update("north", stored.user.id, {"disabled": disabled}, None)).user
        assert (after.disabled, after.epoch) == (disabled, epoch)


async def test_a_user_who_always_changes_is_a_fault_that_says_when_to_try_again(access: Any) -> None:
    """After a few attempts, each on the user as it is then."""
    stored = await access.user()
    caller, units = await access.caller(stored), list[Unit]()

    async def overtaken(tenant: str, unit: Unit) -> Conflict:
        units.append(unit)
        return Conflict("document")

    access.backend.commit = overtaken
    for work in (
        access.users.choose_language("north", caller, "de"),
        access.users.update("north", stored.user.id, {"name": "Ada"}, None),
    ):
        units.clear()
        with pytest.raises(StorageUnavailable) as refused:
            await work
        assert refused.value.detail == "This user is being changed by others right now. Send the request again."
        assert (refused.value.retry_after, len(units) > 1) == (1, True)
        assert {DocumentAt(USERS, stored.user.id, 1) in unit.expect for unit in units} == {True}


async def test_a_user_that_is_not_valid_is_refused_with_every_finding(access: Any) -> None:
    """The sentence says where they are."""
    with pytest.raises(InvalidRecord, match=r"^The user is not valid\. `errors` lists every problem\.$"):
        await access.users.create("north", {"email": "no address", "role": "nope"}, None)


async def test_a_user_chooses_a_language(access: Any) -> None:
    """Or the workspace's again; nothing else of the user changes."""
    stored = await access.user()
    caller = await access.caller(stored)
    access.clock.forward(seconds=5)
    for language in ("de", None):
        await access.users.choose_language("north", caller, language)
        after = (await access.users.get("north", stored.user.id)).user
        expected = msgspec.structs.replace(stored.user, updated_at=LATER, updated_by=caller.actor, language=language)
        assert after == expected


async def test_a_plan_limits_users(access: Any) -> None:
    """The refusal has the number."""
    await access.push({"limits": {"users": 1}})
    await access.user()
    with pytest.raises(LimitReached, match="The plan includes 1 users") as refused:
        await access.user("eve@example.com")
    assert refused.value.evidence["limit"] == 1


@pytest.mark.parametrize("change", ["create", "update"])
async def test_a_user_who_is_being_disabled_makes_no_other(access: Any, change: str) -> None:
    """Neither a new user nor more rights for another one, while the password of their change is hashed."""
    ada, bob = await access.user("ada@example.com", "admin"), await access.user("bob@example.com", "agent")
    caller, hashing = await access.caller(ada), access.passwords.hash

    async def slow(password: str) -> Any:
        await access.users.update("north", ada.user.id, {"disabled": True}, None)
        return await hashing(password)

    access.passwords.hash = slow
    data = {"email": "eve@example.com", "role": "admin", "password": "correct horse battery"}
    patch = {"role": "admin", "password": "a new long one"}
    users, id_ = access.users, bob.user.id
    work = users.create("north", data, caller) if change == "create" else users.update("north", id_, patch, caller)
    with pytest.raises(StorageUnavailable) as refused:
        await work
    assert refused.value.detail == "Your account was changed at the same time. Send the request again."
    assert await access.users.by_email("north", "eve@example.com") is None
    assert (await access.users.get("north", bob.user.id)).user.role == "agent"

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crm_core.access import sessions as sessions_module
from crm_core.access.sessions import SESSIONS, Sessions
from crm_core.access.signin import RESET
from crm_core.access.user import USERS
from crm_core.errors import StorageFull, TokenReused, Unauthenticated
from crm_core.model.times import from_wire
from crm_core.plugin.storage import OutcomeUnknown, Put, Unit


async def refused(work: Any) -> bool:
    """Whether a credential is refused."""
    try:
        await work
    except Unauthenticated:
        return True
    return False


async def test_an_access_token_has_the_rights_of_its_user_as_they_are_now(access: Any) -> None:
    """Role and assignment are read at every request; the token is good for fifteen minutes in its own tenant."""
    stored = await access.user(role="agent")
    session = await access.sessions.open("north", stored, "api")
    grant = access.sessions.grant("north", session)
    assert grant.expires_in == 900
    await access.users.update("north", stored.user.id, {"role": "manager", "assignment": ["deals.*"]}, None)
    caller = await access.callers.bearer("north", grant.access_token)
    assert (caller.kind, caller.id, caller.role, caller.assignment) == ("user", stored.user.id, "manager", ("deals.*",))
    view = await access.backend.view("north", None)
    assert caller.seen == (view.revision, view.epoch)
    assert await refused(access.callers.bearer("south", grant.access_token))
    access.clock.forward(minutes=15)
    assert await refused(access.callers.bearer("north", grant.access_token))


async def test_each_text_is_good_for_one_purpose(access: Any) -> None:
    """Refresh tokens, cookies and CSRF tokens are no access tokens, and the other way round."""
    session = await access.sessions.open("north", await access.user(), "browser")
    grant = access.sessions.grant("north", session)
    cookie = access.sessions.cookie("north", session)
    csrf = access.sessions.csrf_token("north", session.id)
    for text in (grant.refresh_token, cookie, csrf, "", "a.b", grant.access_token[:-1], "ü.ü", "\udcff"):
        assert await refused(access.callers.bearer("north", text))
    for text in (grant.access_token, grant.refresh_token, csrf):
        assert await refused(access.sessions.by_cookie("north", text))
    assert (await access.sessions.by_cookie("north", cookie)).session == session.id
    assert access.sessions.is_csrf_token("north", session.id, csrf)
    assert not access.sessions.is_csrf_token("north", "another", csrf)
    assert not access.sessions.is_csrf_token("north", session.id, cookie)


async def test_a_session_has_one_csrf_token_for_an_hour(access: Any) -> None:
    """Pages of one hour have the same token, those of the next another one, and no session has that of another."""
    stored = await access.user()
    mine, other = [await access.sessions.open("north", stored, "browser") for _ in range(2)]
    access.clock.forward(microseconds=1)
    first = access.sessions.csrf_token("north", mine.id)
    access.clock.forward(minutes=59, seconds=59, microseconds=999_998)
    assert access.sessions.csrf_token("north", mine.id) == first
    assert access.sessions.is_csrf_token("north", other.id, access.sessions.csrf_token("north", other.id))
    access.clock.forward(microseconds=1)
    assert access.sessions.csrf_token("north", mine.id) != first


async def test_refreshing_rotates_and_a_reuse_ends_the_family(access: Any) -> None:
    """Each refresh token works once; the second use is refused as reuse and ends the session."""
    session = await access.sessions.open("north", await access.user(), "api")
    first = access.sessions.grant("north", session)
    second = await access.sessions.refresh("north", first.refresh_token)
    assert second.refresh_token != first.refresh_token
    await access.callers.bearer("north", second.access_token)
    with pytest.raises(TokenReused):
        await access.sessions.refresh("north", first.refresh_token)
    for grant in (first, second):
        assert await refused(access.callers.bearer("north", grant.access_token))
        with pytest.raises(TokenReused):
            await access.sessions.refresh("north", grant.refresh_token)


async def test_two_uses_at_one_moment_are_a_reuse(access: Any) -> None:
    """Of several uses of one refresh token at the same moment at most one gets an answer, and the family ends."""
    session = await access.sessions.open("north", await access.user(), "api")
    token = access.sessions.grant("north", session).refresh_token
    outcomes = await asyncio.gather(
        *(access.sessions.refresh("north", token) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(one, TokenReused) for one in outcomes) == 3
    [grant] = [one for one in outcomes if not isinstance(one, TokenReused)]
    assert await refused(access.callers.bearer("north", grant.access_token))


async def test_refresh_tokens_end_when_they_are_not_used(access: Any) -> None:
    """A month without a refresh ends the sign-in; a refresh in time carries it on."""
    session = await access.sessions.open("north", await access.user(), "api")
    grant = access.sessions.grant("north", session)
    access.clock.forward(days=29)
    grant = await access.sessions.refresh("north", grant.refresh_token)
    access.clock.forward(days=29)
    grant = await access.sessions.refresh("north", grant.refresh_token)
    access.clock.forward(days=30)
    assert await refused(access.sessions.refresh("north", grant.refresh_token))


@pytest.mark.parametrize("how", ["logout", "disabled", "password"])
async def test_what_ends_a_sign_in_ends_all_its_texts(access: Any, how: str) -> None:
    """Logout ends one sign-in, disabling and a new password all of the user's, immediately and for good."""
    stored = await access.user()
    one, other = [await access.sessions.open("north", stored, "browser") for _ in range(2)]
    grant, cookie = access.sessions.grant("north", one), access.sessions.cookie("north", one)
    caller = await access.callers.bearer("north", grant.access_token)
    if how == "logout":
        await access.sessions.end("north", one.id)
    elif how == "disabled":
        await access.users.update("north", stored.user.id, {"disabled": True}, None)
        await access.users.update("north", stored.user.id, {"disabled": False}, None)
    else:
        await access.users.update("north", stored.user.id, {"password": "another long one"}, None)
    assert await refused(access.callers.bearer("north", grant.access_token))
    assert await refused(access.sessions.by_cookie("north", cookie))
    assert await refused(access.sessions.refresh("north", grant.refresh_token))
    assert await refused(access.callers.current("north", caller))
    if how == "logout":
        assert (await access.sessions.caller("north", other.id)).id == stored.user.id
    else:
        assert await refused(access.sessions.caller("north", other.id))


async def test_a_token_is_still_a_caller_until_it_ends(access: Any) -> None:
    """A caller of an API token stays valid until the token is revoked."""
    text, token = await access.tokens.create("north", scopes=["sync:read"], by=None)
    caller = await access.callers.bearer("north", text)
    assert await access.callers.current("north", caller) == caller
    await access.tokens.revoke("north", token.id, by=None)
    assert await refused(access.callers.current("north", caller))


async def test_sign_ins_are_bounded(access: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that are over are forgotten as new ones open, and past the limit the oldest ends."""
    monkeypatch.setattr(sessions_module, "MAX_SESSIONS", 3)
    stored = await access.user()
    opened = [await access.sessions.open("north", stored, "browser") for _ in range(5)]
    assert await access.backend.count("north", SESSIONS) == 3
    assert await refused(access.sessions.caller("north", opened[1].id))
    await access.sessions.caller("north", opened[2].id)
    access.clock.forward(days=7)
    await access.sessions.open("north", stored, "browser")
    assert await access.backend.count("north", SESSIONS) == 1


async def test_a_restored_copy_of_a_tenant_accepts_no_text_of_the_other(access: Any) -> None:
    """Tokens and cookies are of one tenant, also in a tenant whose store has the same users and sessions."""
    stored = await access.user()
    session = await access.sessions.open("north", stored, "browser")
    grant, cookie = access.sessions.grant("north", session), access.sessions.cookie("north", session)
    csrf = access.sessions.csrf_token("north", session.id)
    link = await access.signin.link("north", stored.user.id, RESET, by=None)
    for collection in ("users", SESSIONS):
        async for one in access.backend.documents("north", collection):
            put = Put(collection, one.id, one.body, {"email": "ada@example.com"} if collection == "users" else {})
            await access.backend.commit("south", Unit(now=0, puts=(put,)))
    assert (await access.sessions.caller("south", session.id)).id == stored.user.id  # the session itself is there
    assert await refused(access.callers.bearer("south", grant.access_token))
    assert await refused(access.sessions.by_cookie("south", cookie))
    assert await refused(access.sessions.refresh("south", grant.refresh_token))
    assert await refused(access.signin.user_of_link("south", link))
    assert not access.sessions.is_csrf_token("south", session.id, csrf)
    assert access.sessions.is_csrf_token("north", session.id, csrf)
    assert (await access.signin.user_of_link("north", link)).user.id == stored.user.id
    assert (await access.callers.bearer("north", grant.access_token)).id == stored.user.id


async def test_a_session_ends_with_its_time(access: Any) -> None:
    """A cookie is good for as long as its session is, and no caller is left of one that expired."""
    session = await access.sessions.open("north", await access.user(), "browser")
    cookie = access.sessions.cookie("north", session)
    assert (await access.sessions.by_cookie("north", cookie)).session == session.id
    access.clock.moment = from_wire(session.expires_at)
    assert await refused(access.sessions.by_cookie("north", cookie))
    assert await refused(access.sessions.caller("north", session.id))


async def test_a_disabled_user_has_no_session(access: Any) -> None:
    """Also in a store where the user was disabled without a new epoch, which would end the session by itself."""
    stored = await access.user()
    session = await access.sessions.open("north", stored, "browser")
    document = (await access.backend.get("north", USERS, stored.user.id)).document
    body = document.body.replace(b'"disabled":false', b'"disabled":true')
    assert body != document.body
    await access.backend.commit(
        "north", Unit(now=0, puts=(Put(USERS, document.id, body, {"email": "ada@example.com"}),))
    )
    assert await refused(access.sessions.caller("north", session.id))


async def full(*_: object) -> None:
    raise StorageFull("The disk has no space for this write.")


async def test_a_session_that_cannot_be_stored_is_valid_until_it_ends(
    access: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends by signing out and with the user's epoch; it is not refreshed, and their number is bounded."""
    stored = await access.user()
    monkeypatch.setattr(sessions_module, "_MOST_UNSTORED", 2)
    sessions = Sessions(access.backend, access.sessions._signed, access.clock, access.sessions._ids)
    with monkeypatch.context() as patch:
        patch.setattr(access.backend, "commit", full)
        first, second = [await sessions.open("north", stored, "browser") for _ in range(2)]
        assert (await sessions.caller("north", first.id)).id == stored.user.id
        third = await sessions.open("north", stored, "api")
        assert await refused(sessions.caller("north", second.id))
        assert await refused(sessions.caller("south", first.id))
        assert await refused(sessions.refresh("north", sessions.grant("north", third).refresh_token))
        await sessions.end("north", first.id)
        assert await refused(sessions.caller("north", first.id))
    access.clock.forward(days=7)
    assert (await sessions.caller("north", third.id)).id == stored.user.id
    await access.users.update("north", stored.user.id, {"disabled": True}, None)
    assert await refused(sessions.caller("north", third.id))


async def test_a_session_in_memory_ends_with_its_time_too(access: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser's session that could not be stored lasts seven days, as a stored one."""
    stored = await access.user()
    with monkeypatch.context() as patch:
        patch.setattr(access.backend, "commit", full)
        session = await access.sessions.open("north", stored, "browser")
    access.clock.forward(days=7)
    assert await refused(access.sessions.caller("north", session.id))


async def test_processes_that_share_a_store_have_no_session_in_memory(
    access: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign-in that cannot be stored is refused there: another process would not know the session."""
    stored = await access.user()
    monkeypatch.setattr(type(access.backend), "EXCLUSIVE", False)
    monkeypatch.setattr(access.backend, "commit", full)
    with pytest.raises(StorageFull):
        await access.sessions.open("north", stored, "browser")


async def test_a_session_that_was_stored_after_all_ends_in_the_store(
    access: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the outcome of its write was unknown, what the store has counts, and signing out ends it there too."""
    stored, commit = await access.user(), access.backend.commit

    async def lost(tenant: str, unit: Unit) -> None:
        await commit(tenant, unit)
        raise OutcomeUnknown

    with monkeypatch.context() as patch:
        patch.setattr(access.backend, "commit", lost)
        first, second = [await access.sessions.open("north", stored, "api") for _ in range(2)]
    refresh_token = access.sessions.grant("north", first).refresh_token
    await access.sessions.refresh("north", refresh_token)
    with pytest.raises(TokenReused):
        await access.sessions.refresh("north", refresh_token)
    assert await refused(access.sessions.caller("north", first.id))
    await access.sessions.end("north", second.id)
    assert (await access.backend.get("north", SESSIONS, second.id)).document is None
    assert await refused(access.sessions.caller("north", second.id))

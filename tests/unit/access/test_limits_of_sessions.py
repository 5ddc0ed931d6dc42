"""Sessions and tokens at their ends, and throttles across the ways to try a password."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from crm_core.access import sessions as sessions_module
from crm_core.access.token import TOKENS, ApiToken
from crm_core.access.user import USERS
from crm_core.errors import InvalidCredentials, LoginThrottled, TokenReused, Unauthenticated
from crm_core.model.times import to_wire
from crm_core.plugin.storage import Delete, Unit

PASSWORD = "correct horse battery"


async def test_sessions_of_a_user_who_is_gone_end(access: Any) -> None:
    """Without its user a session is not valid; that is no fault of the server."""
    stored = await access.user()
    session = await access.sessions.open("north", stored, "api")
    grant = access.sessions.grant("north", session)
    await access.backend.commit("north", Unit(now=0, deletes=(Delete(USERS, stored.user.id),)))
    for work in (
        access.callers.bearer("north", grant.access_token),
        access.sessions.refresh("north", grant.refresh_token),
        access.sessions.caller("north", session.id),
    ):
        with pytest.raises(Unauthenticated, match=r"\S"):
            await work


async def test_a_sign_in_ends_no_session_of_another_user(access: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither sessions of another epoch nor the oldest of too many are taken from other users."""
    monkeypatch.setattr(sessions_module, "MAX_SESSIONS", 2)
    ada, bo = await access.user(), await access.user("bo@example.com")
    bo = await access.users.set_password("north", bo, "another horse battery", "operator")
    of_bo = [await access.sessions.open("north", bo, "api") for _ in range(2)]
    of_ada = [await access.sessions.open("north", ada, "api") for _ in range(3)]
    for session in (*of_bo, *of_ada[1:]):
        await access.sessions.caller("north", session.id)
    with pytest.raises(Unauthenticated):
        await access.sessions.caller("north", of_ada[0].id)


async def test_refresh_tokens_lead_on_and_none_works_twice(access: Any) -> None:
    """Of a chain of five only the newest is good; using an earlier one ends all of them, with its reason."""
    session = await access.sessions.open("north", await access.user(), "api")
    grants = [access.sessions.grant("north", session)]
    for _ in range(4):
        grants.append(await access.sessions.refresh("north", grants[-1].refresh_token))
    assert len({grant.refresh_token for grant in grants}) == 5
    assert {repr(grant) for grant in grants} == {"Grant(...)"}
    for grant in (grants[1], grants[4]):
        with pytest.raises(TokenReused, match=r"\S"):
            await access.sessions.refresh("north", grant.refresh_token)


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({}, "active"),
        ({"expires_at": 1}, "active"),
        ({"expires_at": 0}, "expired"),
        ({"expires_at": -1}, "expired"),
        ({"revoked_at": 0}, "revoked"),
        ({"revoked_at": 0, "expires_at": -1}, "revoked"),
    ],
)
async def test_the_state_of_a_token(access: Any, members: dict[str, int], state: str) -> None:
    """A token is active until its expiry, and never again once it was revoked."""
    now = access.clock()
    times = {name: to_wire(now + timedelta(seconds=seconds)) for name, seconds in members.items()}
    token = ApiToken(id="t", name="", scopes=(), created_at=to_wire(now), **times)
    assert token.state(now) == state


async def test_an_open_stream_ends_with_its_token(access: Any) -> None:
    """A caller is looked up again by id: an expired, revoked or unknown token is none any more."""
    text, token = await access.tokens.create(
        "north", scopes=["sync:read"], by=None, expires_at=access.clock() + timedelta(hours=1)
    )
    caller = await access.tokens.current("north", token.id)
    assert caller.id == (await access.tokens.caller("north", text)).id
    access.clock.forward(hours=1)
    for gone in (token.id, "unknown"):
        with pytest.raises(Unauthenticated, match=r"\S"):
            await access.tokens.current("north", gone)
    await access.backend.commit("north", Unit(now=0, deletes=(Delete(TOKENS, token.id),)))
    with pytest.raises(Unauthenticated):
        await access.tokens.current("north", token.id)


async def failures(attempt: Any, most: int = 200) -> int:
    """How many wrong passwords are looked at before the throttle refuses."""
    for number in range(most):
        try:
            await attempt(number)
        except LoginThrottled:
            return number
        except InvalidCredentials:
            pass
    return most


async def test_guesses_on_many_accounts_count_for_their_source(signs_in: Any) -> None:
    """A source that guesses at each account once is refused in the end; another source is not."""
    looked_at = await failures(lambda number: signs_in(f"user{number}@example.com", "wrong"))
    assert 10 < looked_at < 200
    with pytest.raises(InvalidCredentials):
        await signs_in("user0@example.com", "wrong", source="198.51.100.1")


async def test_guesses_of_the_old_password_count_for_account_and_source(access: Any, signs_in: Any) -> None:
    """A stolen session cannot be used to try passwords without end, nor to try them from one source at many."""
    stored = await access.user()
    caller = await access.caller(stored)

    async def change(number: int, source: str | None = None) -> None:
        source = source or f"192.0.2.{number}"
        await access.signin.change_password("north", caller, "wrong", "a new horse battery", source=source)

    assert await failures(change) == 10
    with pytest.raises(LoginThrottled):
        await signs_in()


async def test_a_source_that_guessed_too_often_tries_no_old_password(access: Any, signs_in: Any) -> None:
    """Signing in and changing a password share the limit of their source."""
    caller = await access.caller(await access.user())
    await failures(lambda number: signs_in(f"user{number}@example.com", "wrong"))
    with pytest.raises(LoginThrottled):
        await access.signin.change_password("north", caller, PASSWORD, "a new horse battery", source="192.0.2.1")
    await access.signin.change_password("north", caller, PASSWORD, "a new horse battery", source="198.51.100.1")

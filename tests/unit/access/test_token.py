"""A token as it is made, shown once, and revoked with the user who made it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from crm_core.access.token import TOKENS, CreatedToken, checked_expiry, checked_name, read_token, revoked_with
from crm_core.errors import InvalidRecord, Unauthenticated
from crm_core.plugin.storage import DocumentAt, Put, Unit


async def test_a_created_token_is_shown_with_its_text(access: Any) -> None:
    """The answer has it once, and the answer's representation has it never."""
    end = access.clock() + timedelta(days=1)
    text, token = await access.tokens.create("north", scopes=["customers:read"], by=None, expires_at=end)
    created = CreatedToken.of(text, token)
    assert msgspec.to_builtins(created) == {
        "token": text, "id": token.id, "scopes": ("customers:read",), "expires_at": "2026-11-25T02:00:00.000Z"
    }  # fmt: skip
    assert repr(created) == f"CreatedToken({token.id})"


async def test_the_tokens_of_a_user_are_revoked_in_one_unit(access: Any) -> None:
    """Those that the user made and that still work, as long as none of them changes meanwhile."""
    ada, eve = [await access.caller(await access.user(email)) for email in ("ada@example.com", "eve@example.com")]
    made = [await access.tokens.create("north", scopes=["customers:read"], by=by) for by in (ada, ada, eve)]
    (first, token), (_, ended), (other, _) = made
    await access.tokens.revoke("north", ended.id, by=None)
    access.clock.forward(seconds=1)
    expect, puts = await revoked_with(access.backend, "north", ada.actor, access.clock())
    assert expect == (DocumentAt(TOKENS, token.id, 1),)
    stored = msgspec.structs.replace(token, revoked_at="2026-11-24T02:00:01.000Z")
    assert puts == (Put(TOKENS, token.id, msgspec.json.encode(stored)),)
    await access.backend.commit("north", Unit(now=0, expect=expect, puts=puts))
    with pytest.raises(Unauthenticated):
        await access.tokens.caller("north", first)
    assert (await access.tokens.caller("north", other)).kind == "token"
    assert read_token((await access.backend.get("north", TOKENS, token.id)).document) == stored


@pytest.mark.parametrize("name", ["", "ERP", "\u00e9" * 200])
def test_a_name_is_one_line(name: str) -> None:
    """Of up to 200 characters, or none."""
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["a\nb", "x" * 201, "\x00"])
def test_another_name_is_refused(name: str) -> None:
    """The finding has its place and says what is expected."""
    message = "The name must be up to 200 printable characters on one line."
    with pytest.raises(InvalidRecord) as refused:
        checked_name(name)
    (finding,) = refused.value.errors
    assert (finding.pointer, finding.code, finding.message, refused.value.detail) == (
        "/name", "invalid_value", message, message
    )  # fmt: skip


def test_an_expiry_is_later_than_now(access: Any) -> None:
    """Now is too early; the finding says so."""
    now, message = access.clock(), "The expiry is in the past. Enter a later time."
    with pytest.raises(InvalidRecord) as refused:
        checked_expiry(now, now)
    (finding,) = refused.value.errors
    assert (finding.pointer, finding.code, finding.message, refused.value.detail) == (
        "/expires_at", "invalid_value", message, message
    )  # fmt: skip
    access.clock.forward(seconds=1)
    assert checked_expiry(access.clock(), now) == "2026-11-24T02:00:01.000Z"
    assert checked_expiry(None, now) is None

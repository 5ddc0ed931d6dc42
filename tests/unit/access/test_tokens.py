from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crm_core.access import tokens as tokens_module
from crm_core.access.token import TOKENS
from crm_core.access.token_uses import TOKEN_USES
from crm_core.access.tokens import Tokens
from crm_core.errors import InvalidRecord, LimitReached, NotFound, StorageUnavailable, Unauthenticated
from crm_core.model.ids import Ids
from crm_core.plugin.storage import Conflict, DocumentAt, Put, StorageBackend, Unit

NEW, OLD = b"the-newest-secret-key-of-32-bytes", b"an-older-secret-key-of-32-bytes!!"
RECORD_TYPES = ("customers", "deals")
Make = Callable[..., Tokens]


@pytest.fixture
def make(access: Any) -> Make:
    def made(*keys: bytes) -> Tokens:
        return Tokens(
            access.backend,
            access.views,
            keys or (NEW, OLD),
            now=access.clock,
            ids=Ids(access.clock),
            record_types=RECORD_TYPES,
        )

    return made


async def refused(tokens: Tokens, text: str, tenant: str = "north") -> str:
    with pytest.raises(Unauthenticated) as caught:
        await tokens.caller(tenant, text)
    return caught.value.detail


async def test_a_token_says_who_it_is_and_what_it_covers(make: Make) -> None:
    """The text that was shown once makes a caller with the token's name and scopes, in its own tenant."""
    tokens = make()
    text, token = await tokens.create("north", scopes=["customers:read", "sync:health"], by=None, name="ERP")
    caller = await tokens.caller("north", text)
    assert text.startswith("crm_")
    assert (caller.kind, caller.id, caller.name) == ("token", token.id, "ERP")
    assert caller.scopes == {"customers:read", "sync:health"}
    again = await tokens.caller("north", text)
    assert msgspec.structs.replace(again, seen=None) == caller
    assert await tokens.caller("north", text) is again


async def test_a_caller_says_at_which_workspace_it_was_looked_up(make: Make, backend: StorageBackend) -> None:
    """Once its token is known here: with one read of both, at each request."""
    tokens = make()
    text, _ = await tokens.create("north", scopes=["customers:read"], by=None)
    found = [(await tokens.caller("north", text)).seen for _ in range(2)]
    await backend.commit("north", Unit(now=0, revises=True))
    found.append((await tokens.caller("north", text)).seen)
    epoch = (await backend.view("north", None)).epoch
    assert found == [None, (0, epoch), (1, epoch)]


async def test_bad_tokens_look_alike(make: Make, clock: Any) -> None:
    """Unknown, foreign, revoked, expired, edited and senseless tokens get the same refusal."""
    tokens = make()
    text, token = await tokens.create("north", scopes=["customers:read"], by=None)
    short, _ = await tokens.create("north", scopes=["customers:read"], by=None, expires_at=clock() + timedelta(days=1))
    await tokens.caller("north", short)
    await tokens.revoke("north", token.id, by=None)
    clock.forward(days=1)
    senseless = ("", "crm_", "crm_x.y", "nothing", text[:-1], text + "x", "crm_\udcff", "crm_ü.ü", text.upper())
    senseless += (text[:-1] + "\udcff", text[:-1] + "ü")
    said = {await refused(tokens, one) for one in (text, short, *senseless)}
    fresh, _ = await tokens.create("south", scopes=["customers:read"], by=None)
    said.add(await refused(tokens, fresh, "north"))
    assert len(said) == 1


async def test_a_revoked_token_stops_immediately_everywhere(make: Make) -> None:
    """A second process on the same store, with the caller in its cache, refuses a token that the first one revoked."""
    tokens, other = make(), make()
    text, token = await tokens.create("north", scopes=["customers:read"], by=None)
    await other.caller("north", text)
    revoked = await tokens.revoke("north", token.id, by=None)
    assert revoked.revoked_at is not None
    assert await tokens.revoke("north", token.id, by=None) == revoked
    await refused(other, text)
    assert [one.revoked_at for one in await tokens.list("north")] == [revoked.revoked_at]
    with pytest.raises(NotFound):
        await tokens.revoke("south", token.id, by=None)


async def test_the_text_is_nowhere_in_the_store(make: Make, backend: StorageBackend, tmp_path: Path) -> None:
    """Neither the documents nor the files of the tenant contain the text or its random part."""
    text, _ = await make().create("north", scopes=["customers:read"], by=None)
    bodies = b"".join([one.body async for one in backend.documents("north", TOKENS)])
    random = text.removeprefix("crm_").rpartition(".")[0].encode()
    assert random not in bodies
    files = [path.read_bytes() for path in (tmp_path / "tenants").rglob("*") if path.is_file()]
    assert any(b"customers:read" in stored for stored in files)
    assert not any(random in stored for stored in files)


async def test_secret_keys_rotate(make: Make) -> None:
    """A token outlives the push of a new secret key and ends when the key that made it is taken out."""
    text, _ = await make(OLD).create("north", scopes=["customers:read"], by=None)
    await make(NEW, OLD).caller("north", text)
    await refused(make(NEW), text)


@pytest.mark.parametrize(
    ("scopes", "hint"),
    [
        (["customer:read"], "did you mean `customers:read`?"),
        (["customers:wirte"], "did you mean `customers:write`?"),
        (["sync:write"], "did you mean"),
        (["*"], "known here:"),
        ([], "Name at least one scope"),
    ],
)
async def test_unknown_scopes_are_named_with_a_hint(make: Make, scopes: list[str], hint: str) -> None:
    """A scope that there is not is refused with the nearest one that there is."""
    with pytest.raises(InvalidRecord) as caught:
        await make().create("north", scopes=scopes, by=None)
    assert hint in caught.value.errors[0].message


@pytest.mark.parametrize("more", [{"name": "a\nb"}, {"name": "x" * 201}, {"expires_at": 0}])
async def test_names_and_expiries_are_checked(make: Make, clock: Any, more: dict[str, Any]) -> None:
    """A name of several lines or without end and an expiry that has passed are refused."""
    if "expires_at" in more:
        more = {"expires_at": clock()}
    with pytest.raises(InvalidRecord):
        await make().create("north", scopes=["customers:read"], by=None, **more)


async def test_their_number_is_bounded(make: Make, access: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit an ended token makes room, and where all still work the next is refused."""
    monkeypatch.setattr(tokens_module, "MAX_TOKENS", 2)
    tokens = make()
    text, first = await tokens.create("north", scopes=["customers:read"], by=None)
    await tokens.caller("north", text)
    await tokens.uses.store()
    second, _ = await tokens.create("north", scopes=["customers:read"], by=None)
    with pytest.raises(LimitReached, match="There are 2 active tokens") as full:
        await tokens.create("north", scopes=["customers:read"], by=None)
    assert full.value.evidence == {"limit": 2}
    await tokens.revoke("north", first.id, by=None)
    await tokens.create("north", scopes=["customers:read"], by=None)
    assert first.id not in [one.id for one in await tokens.list("north")]
    await refused(tokens, text)
    await tokens.caller("north", second)
    assert await access.backend.count("north", TOKEN_USES) == 0


async def test_a_token_names_who_made_it(make: Make, access: Any) -> None:
    """The operator's are named so, also those stored without it by earlier versions; a user's name the user."""
    tokens, admin = make(), await access.caller(await access.user(role="admin"))
    _, first = await tokens.create("north", scopes=["sync:read"], by=None)
    _, second = await tokens.create("north", scopes=["sync:read"], by=admin)
    assert [one.created_by for one in await tokens.list("north")] == ["operator", f"user:{admin.id}"]
    with pytest.raises(StorageUnavailable, match="Your account was changed at the same time"):  # or disabled
        await tokens.create("north", scopes=["sync:read"], by=msgspec.structs.replace(admin, revision=9))
    earlier = msgspec.to_builtins(second) | {"id": "0"}
    del earlier["created_by"]
    unit = Unit(now=0, puts=(Put(TOKENS, "0", msgspec.json.encode(earlier)),))
    await access.backend.commit("north", unit)
    assert {one.id: one.created_by for one in await tokens.list("north")}["0"] == first.created_by


async def test_an_expired_token_makes_room(make: Make, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest one that has ended goes; while all are active there is none."""
    monkeypatch.setattr(tokens_module, "MAX_TOKENS", 2)
    tokens = make()
    known: dict[str, Any] = {"scopes": ["customers:read"], "by": None}
    await tokens.create("north", **known, expires_at=clock() + timedelta(days=1))
    _, second = await tokens.create("north", **known)
    with pytest.raises(LimitReached):
        await tokens.create("north", **known)
    clock.forward(days=1)
    _, third = await tokens.create("north", **known)
    assert [token.id for token in await tokens.list("north")] == [second.id, third.id]


async def test_an_ended_token_still_has_its_name(make: Make) -> None:
    """Pages name the author of a change after the token was revoked; in another tenant it has no name."""
    tokens = make()
    _, token = await tokens.create("north", scopes=["customers:read"], by=None, name="ERP")
    await tokens.revoke("north", token.id, by=None)
    assert await tokens.name_of("north", token.id) == "ERP"
    assert await tokens.name_of("south", token.id) is None


async def test_a_cached_token_is_compared_with_the_store(make: Make, access: Any) -> None:
    """A stored token of the same revision and another content, as after a restore, is read again."""
    tokens = make()
    text, token = await tokens.create("north", scopes=["customers:read"], by=None, name="ERP")
    cached = [await tokens.caller("north", text) for _ in range(2)][-1]
    found = await access.backend.get("north", TOKENS, token.id)
    body = found.document.body.replace(b"customers:read", b"customers:writ")

    async def restored(tenant: str, collection: str, id_: str) -> Any:
        if collection != TOKENS:
            return await read(tenant, collection, id_)
        return msgspec.structs.replace(found, document=msgspec.structs.replace(found.document, body=body))

    access.backend.get, read = restored, access.backend.get
    try:
        caller = await tokens.caller("north", text)
    finally:
        access.backend.get = read
    assert caller is not cached


async def test_the_overview_has_states_and_callers_have_revisions(make: Make, clock: Any) -> None:
    """Active, expired and revoked tokens differ; a caller has the revision of its token."""
    tokens = make()
    text, _ = await tokens.create("north", scopes=["customers:read"], by=None)
    await tokens.create("north", scopes=["customers:read"], by=None, expires_at=clock() + timedelta(days=1))
    _, third = await tokens.create("north", scopes=["customers:read"], by=None)
    await tokens.revoke("north", third.id, by=None)
    assert [each.state for each in await tokens.overview("north")] == ["active", "active", "revoked"]
    clock.forward(days=2)
    assert [each.state for each in await tokens.overview("north")] == ["active", "expired", "revoked"]
    assert (await tokens.caller("north", text)).revision == 1


async def test_revoking_decides_between_writers(make: Make, access: Any) -> None:
    """A token that changed meanwhile is read again; one that always changes is a fault that says when to try again."""
    tokens, commit = make(), access.backend.commit
    _, token = await tokens.create("north", scopes=["customers:read"], by=None)
    units: list[Unit] = []

    async def overtaken(tenant: str, unit: Unit) -> Any:
        units.append(unit)
        return Conflict("document", expectation=unit.expect[0])

    access.backend.commit = overtaken
    try:
        with pytest.raises(StorageUnavailable, match="being changed by others") as refused:
            await tokens.revoke("north", token.id, by=None)
    finally:
        access.backend.commit = commit
    assert refused.value.retry_after == 1
    assert {unit.expect for unit in units} == {(DocumentAt(TOKENS, token.id, 1),)}
    assert (await tokens.revoke("north", token.id, by=None)).revoked_at is not None

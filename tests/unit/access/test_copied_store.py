from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crm_core.access.copied_store import end_foreign_access, home, keep_access
from crm_core.access.sessions import SESSIONS
from crm_core.access.tokens import TOKENS
from crm_core.errors import StorageFull, StorageUnavailable, Unauthenticated
from crm_core.plugin.storage import Delete, Unit
from crm_core.testing.storage_harness import entry


@pytest.fixture
async def text(access: Any, signs_in: Any) -> str:
    """A token of north, where a user is signed in."""
    made, _ = await access.tokens.create("north", scopes=["customers:read"], by=None)
    await access.user()
    await signs_in()
    return str(made)


async def copied(access: Any, name: str, tmp_path: Path) -> bool:
    """Restore a copy of north under a name; return whether its tokens and sessions were ended."""
    await access.backend.backup("north", tmp_path / "north.backup")
    if name == "north":
        await access.backend.remove("north")
    await access.backend.restore(name, tmp_path / "north.backup")
    return await end_foreign_access(access.backend, name, access.clock())


async def test_a_copy_under_another_name_has_no_token_and_no_session(access: Any, text: str, tmp_path: Path) -> None:
    """The users come along; tokens and sessions of the original continue there alone."""
    assert await copied(access, "copy", tmp_path)
    with pytest.raises(Unauthenticated):
        await access.tokens.caller("copy", text)
    assert [await access.backend.count("copy", kind) for kind in (TOKENS, SESSIONS, "users")] == [0, 0, 1]
    assert (await access.tokens.caller("north", text)).scopes == {"customers:read"}
    assert not await end_foreign_access(access.backend, "copy", access.clock())


async def test_a_copy_whose_restore_was_killed_refuses_the_tokens_too(access: Any, text: str, tmp_path: Path) -> None:
    """They are refused before they are deleted, and a new token does not bring them back."""
    await access.backend.backup("north", tmp_path / "north.backup")
    await access.backend.restore("copy", tmp_path / "north.backup")
    with pytest.raises(Unauthenticated):
        await access.tokens.caller("copy", text)
    own, _ = await access.tokens.create("copy", scopes=["customers:read"], by=None)
    assert (await access.tokens.caller("copy", own)).scopes == {"customers:read"}
    with pytest.raises(Unauthenticated):
        await access.tokens.caller("copy", text)
    assert len(await access.tokens.list("copy")) == 1


async def test_a_renamed_copy_whose_restore_was_killed_refuses_them_still(
    access: Any, text: str, tmp_path: Path
) -> None:
    """A rename gives the new name the tokens of the old one, and none of a third tenant."""
    await access.backend.backup("north", tmp_path / "north.backup")
    await access.backend.restore("copy", tmp_path / "north.backup")
    await access.backend.rename("copy", "west")
    assert not await keep_access(access.backend, "copy", "west", access.clock())
    with pytest.raises(Unauthenticated):
        await access.tokens.caller("west", text)


async def test_a_restore_under_its_own_name_keeps_both(access: Any, text: str, tmp_path: Path) -> None:
    """Programs and people continue after a restore."""
    assert not await copied(access, "north", tmp_path)
    assert (await access.tokens.caller("north", text)).scopes == {"customers:read"}
    assert await access.backend.count("north", SESSIONS) == 1


async def test_a_renamed_tenant_keeps_its_tokens(access: Any, text: str, tmp_path: Path) -> None:
    """They belong to the new name from then on, in backups too."""
    await access.backend.rename("north", "west")
    await keep_access(access.backend, "north", "west", access.clock())
    await access.backend.backup("west", tmp_path / "west.backup")
    await access.backend.remove("west")
    await access.backend.restore("west", tmp_path / "west.backup")
    assert not await end_foreign_access(access.backend, "west", access.clock())
    assert (await access.tokens.caller("west", text)).scopes == {"customers:read"}


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize("fault", [StorageUnavailable("away"), StorageFull("full")])
async def test_a_renamed_tenant_that_accepts_no_writes_keeps_no_tokens(access: Any, fault: Exception) -> None:
    """It is said so, unless its store has none of another name, or cannot be read either."""

    async def failing(*_: object) -> None:
        raise fault

    await access.backend.rename("north", "west")
    commit, access.backend.commit = access.backend.commit, failing
    assert not await keep_access(access.backend, "north", "west", access.clock())
    assert await keep_access(access.backend, "north", "south", access.clock())
    access.backend.commit = commit
    assert await keep_access(access.backend, "north", "west", access.clock())
    access.backend.commit = failing
    assert await keep_access(access.backend, "north", "west", access.clock())


@pytest.mark.usefixtures("text")
async def test_a_store_that_can_be_neither_read_nor_written_is_left_alone(access: Any) -> None:
    """Then nothing says that tokens are refused."""

    async def failing(*_: object) -> None:
        raise StorageUnavailable("away")

    await access.backend.rename("north", "west")
    access.backend.commit = access.backend.get = failing
    assert await keep_access(access.backend, "north", "west", access.clock())


@pytest.mark.usefixtures("text")
async def test_an_unverified_attempt_does_not_say_whose_a_store_is(access: Any) -> None:
    """Anyone can make one; the store has a name of its tenant afterwards."""
    unit = Unit(now=1, deletes=(Delete("home", "home"),), entries=(entry(1, tenant="east"),))
    await access.backend.commit("north", unit)
    access.backend.note("north", entry(2, signature_result="invalid", status="rejected"))
    assert await end_foreign_access(access.backend, "north", access.clock())
    document = (await access.backend.get("north", "home", "home")).document
    assert document.body == home("north").body


@pytest.mark.usefixtures("text")
@pytest.mark.parametrize(("logged", "ended"), [("north", False), ("east", True), (None, True)])
async def test_the_log_says_whose_a_store_of_earlier_versions_is(
    access: Any, tmp_path: Path, logged: str | None, ended: bool
) -> None:
    """A store without the name belongs to the tenant of its newest entry; with neither, no one can say."""
    (stored,) = await access.tokens.list("north")
    entries = () if logged is None else (entry(1, tenant=logged),)
    await access.backend.commit("north", Unit(now=1, deletes=(Delete("home", "home"),), entries=entries))
    assert await copied(access, "north", tmp_path) is ended
    assert [token.id for token in await access.tokens.list("north")] == ([] if ended else [stored.id])

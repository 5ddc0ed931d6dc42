from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crm_core.access.token_uses import TOKEN_USES
from crm_core.access.tokens import Tokens
from crm_core.errors import StorageUnavailable
from crm_core.plugin.storage import StorageBackend


async def last_uses(access: Any, tokens: Tokens) -> list[str | None]:
    return [one.last_used_at for one in await tokens.overview("north")]


async def test_uses_are_stored_at_most_once_an_hour(access: Any, backend: StorageBackend) -> None:
    """Uses within an hour count as the first of them; they are shown immediately and survive a restart once stored."""
    tokens: Tokens = access.tokens
    text, token = await tokens.create("north", scopes=["customers:read"], by=None)
    assert await last_uses(access, tokens) == [None]
    for minutes in (0, 59, 1):
        access.clock.forward(minutes=minutes)
        await tokens.caller("north", text)
        await tokens.uses.store()
    document = (await backend.get("north", TOKEN_USES, token.id)).document
    assert document is not None
    assert document.revision == 2
    assert document.body == b'{"last_used_at":"2026-11-24T03:00:00.000Z"}'
    assert await last_uses(access, tokens) == ["2026-11-24T03:00:00.000Z"]
    assert "last_used_at" not in (await backend.documents("north", "tokens").__anext__()).body.decode()


async def test_a_use_is_shown_before_it_is_stored(access: Any) -> None:
    """And after it, unchanged."""
    text, _ = await access.tokens.create("north", scopes=["customers:read"], by=None)
    access.clock.forward(minutes=1)
    await access.tokens.caller("north", text)
    access.clock.forward(minutes=1)
    assert await last_uses(access, access.tokens) == ["2026-11-24T02:01:00.000Z"]
    await access.tokens.uses.store()
    assert await last_uses(access, access.tokens) == ["2026-11-24T02:01:00.000Z"]


async def test_uses_are_stored_while_the_server_runs(access: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each interval, until the server stops."""
    monkeypatch.setattr("crm_core.access.token_uses._STORE_SECONDS", 0.01)
    stop = asyncio.Event()
    text, token = await access.tokens.create("north", scopes=["customers:read"], by=None)
    await access.tokens.caller("north", text)
    stored, store = asyncio.Event(), access.tokens.uses.store

    async def storing() -> None:
        await store()
        stored.set()

    access.tokens.uses.store = storing
    running = asyncio.create_task(access.tokens.uses.run(stop))
    await stored.wait()
    assert (await access.backend.get("north", TOKEN_USES, token.id)).document is not None
    stop.set()
    await running


async def test_a_stop_stores_what_was_noted(access: Any, backend: StorageBackend) -> None:
    """The loop that stores uses ends with the server, and stores the last ones."""
    stop = asyncio.Event()
    text, token = await access.tokens.create("north", scopes=["customers:read"], by=None)
    storing = asyncio.create_task(access.tokens.uses.run(stop))
    await access.tokens.caller("north", text)
    stop.set()
    await storing
    assert (await backend.get("north", TOKEN_USES, token.id)).document is not None


async def test_a_store_that_accepts_no_writes_stops_no_use(
    access: Any, backend: StorageBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed write is given up until the next hour's use."""

    async def refuse(tenant: str, unit: Any) -> Any:
        raise StorageUnavailable

    text, _ = await access.tokens.create("north", scopes=["customers:read"], by=None)
    await access.tokens.caller("north", text)
    with monkeypatch.context() as patch:
        patch.setattr(backend, "commit", refuse)
        await access.tokens.uses.store()
    assert await last_uses(access, access.tokens) == [None]
    access.clock.forward(hours=1)
    await access.tokens.caller("north", text)
    await access.tokens.uses.store()
    assert await last_uses(access, access.tokens) == ["2026-11-24T03:00:00.000Z"]

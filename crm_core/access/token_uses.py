"""The last use of each token, stored every minute, at most once an hour for each token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import msgspec

from crm_core.errors import CrmError
from crm_core.model.recent import Recent
from crm_core.model.times import to_wire
from crm_core.model.waiting import set_within
from crm_core.plugin.storage import Put, StorageBackend, Unit
from crm_core.workspace.storing import commit

TOKEN_USES: Final = "token_uses"  # noqa: S105 -- the name of a collection
INTERVAL: Final = timedelta(hours=1)
_STORE_SECONDS: Final = 60.0
_CACHE_SIZE: Final = 10_000  # tokens


class _Use(msgspec.Struct, frozen=True):
    last_used_at: str


class TokenUses:
    """The last use of each token, accurate to ``INTERVAL``. No request waits for it, or fails with it."""

    def __init__(self, backend: StorageBackend, now: Callable[[], datetime]) -> None:
        self._backend = backend
        self._now = now
        self._noted: Recent[tuple[str, str], datetime] = Recent(_CACHE_SIZE)
        self._to_store: dict[str, dict[str, datetime]] = {}  # tenant, token

    def note(self, tenant: str, token_id: str) -> None:
        """Note a use."""
        now, place = self._now(), (tenant, token_id)
        noted = self._noted.get(place)
        if noted is None or now - noted >= INTERVAL:
            self._noted.add(place, now)
            self._to_store.setdefault(tenant, {})[token_id] = now

    async def run(self, stop: asyncio.Event) -> None:
        """Store the noted uses every minute and at the end."""
        while not await set_within(stop, _STORE_SECONDS):
            await self.store()
        await self.store()

    async def store(self) -> None:
        """Store the noted uses. A use that cannot be stored is dropped; one after the interval is noted again."""
        noted, self._to_store = self._to_store, {}
        for tenant, uses in noted.items():
            puts = tuple(
                Put(TOKEN_USES, token_id, msgspec.json.encode(_Use(to_wire(moment))))
                for token_id, moment in uses.items()
            )
            with suppress(CrmError):
                await commit(self._backend, tenant, Unit(now=int(self._now().timestamp()), puts=puts))

    async def of(self, tenant: str) -> dict[str, str]:
        """The last use (RFC 3339) by the id of each token that was used."""
        uses = self._backend.documents(tenant, TOKEN_USES)
        stored = {use.id: msgspec.json.decode(use.body, type=_Use).last_used_at async for use in uses}
        return stored | {token_id: to_wire(moment) for token_id, moment in self._to_store.get(tenant, {}).items()}

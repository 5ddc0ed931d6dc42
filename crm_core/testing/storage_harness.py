"""What the storage suite's cases work with: an open backend with two tenants, and ways to open it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from crm_core.model.log import LogEntry
from crm_core.plugin.storage import Committed, IndexValue, Put, StorageBackend, StorageContext, Unit

NOW = 1_800_000_000


def put(
    id_: str, body: object = None, indexes: Mapping[str, IndexValue] | None = None, *, collection: str = "notes"
) -> Put:
    """A put with a JSON body."""
    return Put(collection, id_, msgspec.json.encode(body if body is not None else {"id": id_}), indexes or {})


def entry(number: int, **members: object) -> LogEntry:
    """A log entry whose id and time grow with its number."""
    minute, second = divmod(number, 60)
    plain: dict[str, object] = {
        "id": f"0190{number:08d}",
        "received_at": f"2027-01-{1 + minute // 1440:02d}T{minute // 60 % 24:02d}:{minute % 60:02d}:{second:02d}Z",
        "instance": "eu1",
        "tenant": "north",
        "status": "applied",
        "signature_result": "valid",
        "request_id": f"request-{number}",
        "nonce": f"nonce-{number}",
    }
    return msgspec.convert(plain | members, LogEntry)


class StorageHarness:
    """An open backend with the tenants ``north`` and ``south``."""

    def __init__(self, make: Callable[[], StorageBackend], context: StorageContext, scratch: Path) -> None:
        self._make, self.context, self.scratch = make, context, scratch
        self.store = make()

    async def start(self) -> None:
        """Open, and make the tenants."""
        await self.store.open(self.context)
        await self.store.create("north")
        await self.store.create("south")

    async def stop(self) -> None:
        """Close."""
        await self.store.close()

    async def reopen(self) -> StorageBackend:
        """Close and open anew on the same data."""
        await self.store.close()
        self.store = self._make()
        await self.store.open(self.context)
        return self.store

    async def power_cut(self) -> StorageBackend:
        """Open what a power cut leaves. Without a disk that forgets this is no more than ``reopen``."""
        return await self.reopen()

    async def put(self, *puts: Put, tenant: str = "north", now: int = NOW) -> Committed:
        """Commit puts that nothing stands against."""
        return committed(await self.store.commit(tenant, Unit(now=now, puts=puts)))

    async def commit(self, unit: Unit, tenant: str = "north") -> Committed:
        """Commit a unit that must go through."""
        return committed(await self.store.commit(tenant, unit))


def committed(outcome: object) -> Committed:
    """The outcome of a commit that must have gone through."""
    assert isinstance(outcome, Committed), outcome
    return outcome

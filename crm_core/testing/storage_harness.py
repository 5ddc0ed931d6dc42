"""The harness of the storage suite's cases: an open backend with two tenants that can be opened again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from crm_core.model.log import LogEntry
from crm_core.plugin.storage import (
    Committed,
    Conflict,
    Document,
    IndexValue,
    Put,
    StorageBackend,
    StorageContext,
    Unit,
)

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
        """Open the backend and create the tenants."""
        await self.store.open(self.context)
        await self.store.create("north")
        await self.store.create("south")

    async def stop(self) -> None:
        """Close the backend."""
        await self.store.close()

    async def reopen(self) -> StorageBackend:
        """Close the backend and open it again on the same data."""
        await self.store.close()
        self.store = self._make()
        await self.store.open(self.context)
        return self.store

    async def power_cut(self) -> StorageBackend:
        """Open the data that a power cut leaves. With a real disk this is the same as ``reopen``."""
        return await self.reopen()

    def files_contain(self, tenant: str, text: bytes) -> bool:
        """Whether a file of a tenant contains a text; a backend without files has none that does."""
        paths = self.context.tenants_dir.rglob("*")
        return any(text in path.read_bytes() for path in paths if path.is_file() and tenant in str(path))

    async def put(self, *puts: Put, tenant: str = "north", now: int = NOW) -> Committed:
        """Commit puts, which must succeed."""
        return committed(await self.store.commit(tenant, Unit(now=now, puts=puts)))

    async def commit(self, unit: Unit, tenant: str = "north") -> Committed:
        """Commit a unit, which must succeed."""
        return committed(await self.store.commit(tenant, unit))

    async def refused(self, unit: Unit, what: str) -> Conflict:
        """Commit a unit, which must be refused with a conflict of this kind."""
        outcome = await self.store.commit("north", unit)
        assert isinstance(outcome, Conflict), f"the unit must be refused with a {what} conflict, but: {outcome}"
        assert outcome.what == what, f"the conflict must be named {what}, but: {outcome}"
        return outcome

    async def document(self, id_: str, tenant: str = "north") -> Document:
        """A document of the collection ``notes``, which must exist."""
        return existing((await self.store.get(tenant, "notes", id_)).document)

    async def found(self, index: str, value: IndexValue, tenant: str = "north") -> Document:
        """The document of ``notes`` with a value in an index, which must exist."""
        return existing((await self.store.find(tenant, "notes", index, value)).document)


def committed(outcome: object) -> Committed:
    """The outcome of a commit, which must have succeeded."""
    assert isinstance(outcome, Committed), f"the unit must be committed, but: {outcome}"
    return outcome


def existing(document: Document | None) -> Document:
    """The document, which must have been found."""
    assert document is not None, "the document must be found, but is None"
    return document

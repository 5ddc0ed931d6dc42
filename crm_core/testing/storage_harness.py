"""The harness of the storage suite's cases: an open backend with two tenants, and what can happen to one.

A backend on a database server overrides ``tamper`` and
``failing_writes``; one that accepts a disk also ``kill`` and ``power_cut``.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from crm_core.errors import StorageFull, StorageUnavailable
from crm_core.model.log import LogEntry
from crm_core.plugin.storage import Committed, Conflict, Document, IndexValue, Put, StorageBackend, StorageContext, Unit

NOW = 1_800_000_000
TRIES = 50  # a tenth of a second apart


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
        self._others: list[StorageBackend] = []  # killed ones, and those of other processes

    async def start(self) -> None:
        """Open the backend and create the tenants."""
        await self.store.open(self.context)
        await self.store.create("north")
        await self.store.create("south")

    async def stop(self) -> None:
        """Close the backend."""
        for store in (self.store, *self._others):
            await store.close()

    async def reopen(self) -> StorageBackend:
        """Close the backend and open it again on the same data."""
        await self.store.close()
        return await self._open()

    async def kill(self) -> StorageBackend:
        """Open the data that kill -9 leaves: nothing is closed, and files have what was written to them until now."""
        folder = self.context.tenants_dir
        copy = folder.with_name(f"{folder.name}-killed")
        if folder.exists():
            shutil.copytree(folder, copy, copy_function=_copy_existing)
            self.context = msgspec.structs.replace(self.context, tenants_dir=copy)
        self._others.append(self.store)  # what it does from here on, it does to the old folder
        return await self._open()

    async def power_cut(self) -> StorageBackend:
        """Open the data that a power cut leaves. With a real disk this is the same as ``kill``."""
        return await self.kill()

    async def stores(self) -> list[StorageBackend]:
        """The backend, and one that another process has open on the same data, if it may be."""
        if self.store.EXCLUSIVE:
            return [self.store]
        self._others.append(self._make())
        await self._others[-1].open(self.context)
        return [self.store, self._others[-1]]

    async def tamper(self, tenant: str, old: bytes, new: bytes) -> StorageBackend:
        """Close the backend, replace a text in the tenant's data by one of the same length, and open it again.

        Skips the test if no file contains the text.
        """
        assert len(old) == len(new), "a text of another length would also move what follows it"
        await self.store.close()
        if not self._replace(tenant, old, new):
            await self._open()
            pytest.skip("no file of the tenant contains the text: override StorageHarness.tamper to change the data")
        return await self._open()

    def _replace(self, tenant: str, old: bytes, new: bytes) -> int:
        """Replace a text in the tenant's files; the number of files that had it."""
        paths = [path for path in self.context.tenants_dir.rglob("*") if path.is_file() and tenant in str(path)]
        found = [path for path in paths if old in path.read_bytes()]
        for path in found:
            path.write_bytes(path.read_bytes().replace(old, new))
        return len(found)

    @contextmanager
    def failing_writes(self) -> Iterator[None]:
        """Let every write to a file fail meanwhile, as on a full disk."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    async def _open(self) -> StorageBackend:
        self.store = self._make()
        await self.store.open(self.context)
        return self.store

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

    async def failed(self, unit: Unit) -> None:
        """Commit a unit, which must raise StorageUnavailable or StorageFull since it cannot be written."""
        with pytest.raises((StorageUnavailable, StorageFull)):
            await self.store.commit("north", unit)

    async def committed_soon(self, unit: Unit) -> Committed:
        """Commit a unit once the store accepts writes again, which must be within seconds and without a restart."""
        for _ in range(TRIES):
            with suppress(StorageUnavailable, StorageFull):
                return await self.commit(unit)
            await asyncio.sleep(0.1)
        pytest.fail(f"writing works again, so the store must accept a unit without a restart: {TRIES} were refused")

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


def _copy_existing(source: str, target: str) -> None:
    with suppress(FileNotFoundError):  # a temporary file that got its name meanwhile
        shutil.copy2(source, target)


def committed(outcome: object) -> Committed:
    """The outcome of a commit, which must have succeeded."""
    assert isinstance(outcome, Committed), f"the unit must be committed, but: {outcome}"
    return outcome


def existing(document: Document | None) -> Document:
    """The document, which must have been found."""
    assert document is not None, "the document must be found, but is None"
    return document

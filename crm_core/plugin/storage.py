"""The interface of a storage backend, and its promises: documents, claims, logs and the workspace's revision.

A backend knows no payload type, user or customer: the core hands it frozen **units** and reads plain values back.
Every backend passes ``crm_core.testing.storage``; in short it promises that a unit is

- **atomic and durable** when ``commit`` returns: all of it is there after a power cut, or none of it;
- tested against the state that all units before it lead to, durable or queued, in the order they came;
- visible to readers only once durable; nothing handed out can be mutated into the store;
- **isolated**: a tenant's data, failures and quarantine never touch another tenant;
- refused whole when a write fails: memory and disk stay as they were, the caller gets ``StorageUnavailable`` or
  ``StorageFull``, and the tenant accepts no writes until a probe write succeeds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from crm_core.errors import SetupError
from crm_core.model.change_log import ChangeEntry
from crm_core.model.log import Head, LogEntry
from crm_core.plugin.dump import DumpHead, IndexedDocument, Part
from crm_core.plugin.query import (
    Bound,
    ChainReport,
    ChangePage,
    EntryQuery,
    KeyUse,
    Page,
    PageQuery,
    Read,
    StoredChange,
    StoreState,
    Tally,
    Term,
    View,
)
from crm_core.plugin.storage_context import Reindex, StorageContext
from crm_core.plugin.summary import QUERIES, Summary, summary_of
from crm_core.plugin.unit import (
    Claim,
    Committed,
    Conflict,
    CountBelow,
    Delete,
    Document,
    DocumentAt,
    DocumentExists,
    Expectation,
    IndexFree,
    IndexValue,
    OutcomeUnknown,
    Put,
    Unit,
    WorkspaceAt,
)

__all__ = [
    "Bound",
    "ChainReport",
    "ChangeEntry",
    "ChangePage",
    "Claim",
    "Committed",
    "Conflict",
    "CountBelow",
    "Delete",
    "Document",
    "DocumentAt",
    "DocumentExists",
    "DumpHead",
    "EntryQuery",
    "Expectation",
    "IndexFree",
    "IndexValue",
    "IndexedDocument",
    "KeyUse",
    "OutcomeUnknown",
    "Page",
    "PageQuery",
    "Part",
    "Put",
    "Read",
    "Reindex",
    "StorageBackend",
    "StorageContext",
    "StoreState",
    "StoredChange",
    "Summary",
    "Tally",
    "Term",
    "Unit",
    "View",
    "WorkspaceAt",
]


class StorageBackend(ABC):
    """A storage backend. One object serves all tenants of an instance; it is opened once, on the serving loop.

    ``EXCLUSIVE``: only one process may have the tenants folder open; the core then takes its lock.
    Every call on an unknown tenant raises ``UnknownTenant``.
    """

    NAME: ClassVar[str]
    EXCLUSIVE: ClassVar[bool] = True

    @abstractmethod
    async def open(self, context: StorageContext) -> None:
        """Get ready; a tenant is opened by the first call that names it. Raises SetupError.

        A database that does not answer now is no error: calls raise StorageUnavailable until it does.
        """

    @abstractmethod
    async def close(self) -> None:
        """Make everything durable and close every file and connection."""

    @abstractmethod
    async def tenants(self) -> list[str]:
        """The names of all tenants, sorted."""

    async def count_tenants(self) -> int:
        """The number of tenants; called whenever metrics are read, so a backend that can count without names does."""
        return len(await self.tenants())

    @abstractmethod
    async def has(self, tenant: str) -> bool:
        """Whether the tenant exists; cheap, since every request calls it."""

    @abstractmethod
    async def create(self, tenant: str) -> None:
        """Make an empty tenant, durable. Raises SetupError if it exists."""

    @abstractmethod
    async def view(self, tenant: str, seen: int | None) -> View:
        """The workspace's revision and, if newer than ``seen``, the documents of the collection ``sections``."""

    async def view_and_claims(
        self, tenant: str, seen: int | None, claims: Sequence[tuple[str, str]]
    ) -> tuple[View, list[bytes | None]]:
        """``view``, and the evidence of claims by kind and key, none of an earlier moment: one call for a push."""
        view = await self.view(tenant, seen)
        return view, [await self.claim(tenant, kind, key) for kind, key in claims]

    @abstractmethod
    async def get(self, tenant: str, collection: str, id: str) -> Read:  # noqa: A002 -- the wire's word
        """One document."""

    @abstractmethod
    async def find(self, tenant: str, collection: str, index: str, value: IndexValue) -> Read:
        """The document with this value in this index; of several, the one with the lowest id."""

    @abstractmethod
    async def page(self, tenant: str, query: PageQuery) -> Page:
        """A page of a collection."""

    @abstractmethod
    async def count(self, tenant: str, collection: str) -> int:
        """The number of documents in a collection."""

    async def collections(self, tenant: str) -> tuple[str, ...]:
        """The names of the collections with documents, so that the core notices data of a plugin that is gone."""
        return ()

    @abstractmethod
    async def claim(self, tenant: str, kind: str, key: str) -> bytes | None:
        """The evidence of a claim, None if it is free."""

    @abstractmethod
    async def commit(self, tenant: str, unit: Unit) -> Committed | Conflict:
        """Make a unit durable, or return the conflict. Raises StorageUnavailable, StorageFull, OutcomeUnknown."""

    @abstractmethod
    def note(self, tenant: str, entry: LogEntry) -> None:
        """Write an unverified attempt next to the chain: readable immediately, durable within a second, never raises.

        An entry whose id is already there replaces it.
        """

    @abstractmethod
    async def entries(self, tenant: str, query: EntryQuery) -> tuple[LogEntry, ...]:
        """Log entries, newest first."""

    @abstractmethod
    async def tally(self, tenant: str, since: str) -> Tally:
        """Counts over the retained log; ``since`` bounds the statuses."""

    @abstractmethod
    async def verify(self, tenant: str, head: Head | None = None) -> ChainReport:
        """Walk the whole retained chain as stored; with ``head``, also that this link is in it unchanged."""

    @abstractmethod
    async def changes(self, tenant: str, after: int | None, limit: int = 500) -> ChangePage:
        """The entries of the change log after a place; with None no entries, only where the log is.

        It may return fewer than ``limit``, to bound their bytes, but at least one if there is one. Entries whose time
        is within ``changes_keep_days`` before the newest unit are retained; older ones may be.
        """

    @abstractmethod
    async def history(
        self,
        tenant: str,
        type: str,  # noqa: A002 -- the wire's word
        id: str,  # noqa: A002 -- the wire's word
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[StoredChange, ...]:
        """The retained entries of a record before the place of one of them, newest first; none of an erased record.

        It may return fewer than ``limit``, to bound their bytes; an empty answer is the end.
        """

    @abstractmethod
    async def wait(self, tenant: str, after: int) -> None:
        """Return once the tenant has a unit after ``after``; may return early."""

    @abstractmethod
    async def state(self, tenant: str) -> StoreState:
        """Whether the tenant's store accepts writes."""

    async def summary(self, tenant: str) -> Summary:
        """Facts for lists of tenants; of a closed one those stored when it closed. Raises StorageUnavailable."""
        view = await self.view(tenant, None)
        found = {name: await self.entries(tenant, query) for name, query in QUERIES.items()}
        return summary_of(view.revision, view.documents or (), found, await self.state(tenant))

    @abstractmethod
    async def troubled(self) -> Mapping[str, StoreState]:
        """The tenants that are known to accept no writes, and why.

        It is called every second: it opens none, and closed ones cost nothing. A backend that must look at each looks
        at all when it opens and at some in turn later. Raises StorageUnavailable with an ``operator_detail``.
        """

    @abstractmethod
    async def fold(self, tenant: str) -> None:
        """Fold the tenant's files now, if there is anything to fold. They then contain nothing of erased records."""

    @abstractmethod
    async def backup(self, tenant: str, target: Path) -> None:
        """Write a consistent copy to a new file while writes go on. Raises SetupError."""

    @abstractmethod
    async def restore(self, tenant: str, source: Path) -> None:
        """Make a tenant from a backup. Raises SetupError if the tenant exists or the file is not whole."""

    def dump(self, tenant: str) -> AsyncGenerator[Part, None]:
        """All of a tenant as of one moment, for another backend, in the order of ``Part``. Raises SetupError."""
        raise SetupError([f"the storage backend {self.NAME} cannot copy {tenant} to another one"])

    async def load(self, tenant: str, parts: AsyncIterator[Part]) -> None:
        """Make a tenant of a dump, with its epoch: it exists, durably, once it is complete.

        Raises SetupError if it exists or a part cannot be stored, and passes on what ``parts`` raises.
        """
        raise SetupError([f"the storage backend {self.NAME} cannot copy {tenant} from another one"])

    async def mark(self) -> bytes:
        """The text of ``set_mark``; empty if there is none. Raises StorageUnavailable."""
        return b""

    async def set_mark(self, mark: bytes) -> None:
        """Store a short text about the store as a whole, durably; an empty one deletes it. Raises SetupError."""
        raise SetupError([f"the storage backend {self.NAME} cannot be copied"])

    async def alive(self, process: str, seconds: int) -> frozenset[str]:
        """Note that a process serves this store for so many seconds, no longer with 0; those that do now."""
        return frozenset({process} if seconds else ())

    @abstractmethod
    async def rename(self, tenant: str, name: str) -> None:
        """Give a tenant another name. Raises SetupError if that name is taken."""

    async def remove(self, tenant: str) -> None:
        """Delete a tenant and all its data, durably. Raises UnknownTenant; SetupError if the backend cannot."""
        raise SetupError([f"this storage backend cannot remove {tenant}"])

    @abstractmethod
    async def check(self, tenant: str) -> tuple[str, ...]:
        """The faults of the tenant's files or rows, in sentences; empty if there are none."""

    async def migrate(self) -> tuple[str, ...]:
        """Bring everything stored into the form of this version; what was done, in sentences, or nothing.

        Raises SetupError naming each tenant whose store a newer version wrote to, and its format; it stays untouched.
        """
        return ()

    @abstractmethod
    def documents(self, tenant: str, collection: str) -> AsyncIterator[Document]:
        """Every document of a collection, by id, as of one moment."""

    async def scan(self, tenant: str, collection: str) -> AsyncGenerator[Sequence[bytes], None]:
        """The texts of all documents, some at a time, in any order; those that are written meanwhile may be missing."""
        async for document in self.documents(tenant, collection):
            yield (document.body,)

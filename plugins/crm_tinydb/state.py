"""A tenant's durable state in memory: collections, claims and the counters."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from crm_core.model.log import Head
from crm_core.model.turns import Turn
from crm_core.plugin.storage import Document, Reindex
from crm_tinydb.change import JournalEntry
from crm_tinydb.collection import Collection

ClaimValue = tuple[bytes, int | None, int | None, str]  # evidence, expires, stamp, subject
SECTIONS = "sections"
_EMPTY = Collection("")  # in place of every collection that a tenant does not have; nothing is ever put into it
FORGET_PER_UNIT = 1000  # claims: many may expire while a tenant is idle, and must not block the loop


class State:
    """The result of the journal. Only durable changes are applied."""

    def __init__(self, reindex: Reindex | None = None) -> None:
        self._reindex = reindex
        self.seq = 0
        self.revision = 0
        self.head = Head()
        self.now = 0
        self.collections: dict[str, Collection] = {}
        self.claims: dict[tuple[str, str], ClaimValue] = {}
        self.forgotten: dict[str, int] = {}
        self.epoch = ""  # of the change log
        self.stored_epoch = False  # an earlier version's store has none until its next unit
        self.place = 0  # of the newest entry of the change log
        self.erased: dict[str, int] = {}  # records erased since the last fold, and the places of these entries
        self._expiring: list[tuple[int, str, str]] = []

    def collection(self, name: str) -> Collection:
        """A collection; an unknown one is empty."""
        return self.collections.get(name, _EMPTY)

    def sections(self) -> tuple[Document, ...]:
        """The documents of the sections, by name."""
        found = self.collection(SECTIONS)
        return found.documents(sorted(found.rows))

    def add(self, name: str) -> Collection:
        """Add an empty collection."""
        self.collections[name] = Collection(name, reindex=self._reindex)
        return self.collections[name]

    def catch_up(self) -> bool:
        """Update indexes that are far behind, for one turn; whether that was all. Called while the disk is busy."""
        behind = [collection for collection in self.collections.values() if collection.is_behind]
        if not behind:
            return True
        turn = Turn()
        return all(collection.catch_up(turn) for collection in behind)

    def load_claims(self, claims: dict[tuple[str, str], ClaimValue]) -> None:
        """Load the claims of a folded file."""
        self.claims = claims
        self._expiring = [(claim[1], kind, key) for (kind, key), claim in claims.items() if claim[1] is not None]
        heapify(self._expiring)

    def apply(self, change: JournalEntry, bodies: Iterable[bytes] | None = None) -> None:
        """Apply one change. The same changes in the same order always give the same state.

        ``bodies``: of its puts, for a caller that has them; else they are copied out of the change.
        """
        for name, id_ in change.deletes:
            if name in self.collections:
                self.collections[name].delete(id_)
        texts = [bytes(put.body) for put in change.puts] if bodies is None else bodies
        for put, text in zip(change.puts, texts, strict=True):
            collection = self.collections.get(put.collection)
            if collection is None:
                collection = self.add(put.collection)
            collection.put(put.id, collection.row(put.revision, text, put.indexes, put.place))
        for released in change.releases:
            self.claims.pop(released, None)
        self._forget(change.now)
        if change.erased:
            self._erase(change.erased)
        for claim in change.claims:
            old = self.claims.get((claim.kind, claim.key))
            if old is not None:
                self._keep_stamp(claim.kind, old[2])
            self.claims[claim.kind, claim.key] = (bytes(claim.evidence), claim.expires, claim.stamp, claim.subject)
            if claim.expires is not None:
                heappush(self._expiring, (claim.expires, claim.kind, claim.key))
        if change.entries:
            newest = change.entries[-1]
            self.head = Head(newest.seq or 0, newest.entry_hash or "")
        if change.epoch:
            self.epoch, self.stored_epoch = change.epoch, True
        self.place += len(change.changes)
        self.seq, self.revision, self.now = change.seq, change.revision, change.now

    def _erase(self, erased: dict[str, int]) -> None:
        """Clear the evidence about erased records; their entries in the change log are redacted when they are read."""
        self.erased.update(erased)
        for place, (_, expires, stamp, subject) in self.claims.items():
            if subject in erased:
                self.claims[place] = (b"null", expires, stamp, subject)

    def newest_entry(self, id_: str) -> int:
        """The place of a record's newest entry in the change log; 0 if it has none."""
        rows = (collection.rows.get(id_) for collection in self.collections.values())
        return max((row[4] for row in rows if row is not None), default=0)

    def _forget(self, now: int) -> None:
        for _ in range(FORGET_PER_UNIT):
            if not self._expiring or self._expiring[0][0] >= now:
                return
            expires, kind, key = heappop(self._expiring)
            claim = self.claims.get((kind, key))
            if claim is not None and claim[1] == expires:  # otherwise it was released or claimed again
                del self.claims[kind, key]
                self._keep_stamp(kind, claim[2])

    def _keep_stamp(self, kind: str, stamp: int | None) -> None:
        if stamp is not None:
            self.forgotten[kind] = max(stamp, self.forgotten.get(kind, stamp))

"""A tenant's durable state in memory: collections, claims and the counters."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from crm_core.model.log import Head
from crm_tinydb.change import JournalEntry
from crm_tinydb.collection import Collection

Holding = tuple[bytes, int | None, int | None]  # evidence, expires, stamp
FORGET_AT_ONCE = 1000  # claims forgotten per unit: a long idle time must not stop the loop


class State:
    """What the journal leads to. Only changes that are durable are applied to it."""

    def __init__(self) -> None:
        self.seq = 0
        self.revision = 0
        self.head = Head()
        self.now = 0
        self.collections: dict[str, Collection] = {}
        self.claims: dict[tuple[str, str], Holding] = {}
        self.forgotten: dict[str, int] = {}
        self._expiring: list[tuple[int, str, str]] = []

    def collection(self, name: str) -> Collection:
        """A collection; one that nothing was put into is empty."""
        found = self.collections.get(name)
        return Collection(name) if found is None else found

    def catch_up(self) -> None:
        """Bring indexes that are far behind up to date; to be called often, while the disk is at work."""
        for held in self.collections.values():
            held.catch_up()

    def hold(self, claims: dict[tuple[str, str], Holding]) -> None:
        """Take all claims of a folded file at once."""
        self.claims = claims
        self._expiring = [(held[1], kind, key) for (kind, key), held in claims.items() if held[1] is not None]
        heapify(self._expiring)

    def apply(self, change: JournalEntry) -> None:
        """Take one change. The same changes in the same order always lead to the same state."""
        for name, id_ in change.deletes:
            if name in self.collections:
                self.collections[name].delete(id_)
        for put in change.puts:
            held = self.collections.get(put.collection)
            if held is None:
                held = self.collections[put.collection] = Collection(put.collection)
            held.put(put.id, held.row(put.revision, bytes(put.body), put.indexes))
        for released in change.releases:
            self.claims.pop(released, None)
        self._forget(change.now)
        for claim in change.claims:
            old = self.claims.get((claim.kind, claim.key))
            if old is not None:
                self._remember(claim.kind, old[2])
            self.claims[claim.kind, claim.key] = (bytes(claim.evidence), claim.expires, claim.stamp)
            if claim.expires is not None:
                heappush(self._expiring, (claim.expires, claim.kind, claim.key))
        if change.entries:
            newest = change.entries[-1]
            self.head = Head(newest.seq or 0, newest.entry_hash or "")
        self.seq, self.revision, self.now = change.seq, change.revision, max(self.now, change.now)

    def _forget(self, now: int) -> None:
        for _ in range(FORGET_AT_ONCE):
            if not self._expiring or self._expiring[0][0] >= now:
                return
            expires, kind, key = heappop(self._expiring)
            held = self.claims.get((kind, key))
            if held is not None and held[1] == expires:  # else it was given back or taken anew
                del self.claims[kind, key]
                self._remember(kind, held[2])

    def _remember(self, kind: str, stamp: int | None) -> None:
        if stamp is not None:
            self.forgotten[kind] = max(stamp, self.forgotten.get(kind, stamp))

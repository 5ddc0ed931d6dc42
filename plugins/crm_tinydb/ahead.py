"""What is queued but not yet durable, and the test of a unit against durable and queued state together."""

from __future__ import annotations

from crm_core.model.log import Head, LogEntry, link
from crm_core.plugin.unit import (
    Claim,
    Conflict,
    CountBelow,
    DocumentAt,
    Expectation,
    IndexFree,
    IndexValue,
    Unit,
    WorkspaceAt,
)
from crm_tinydb.change import Change, Claimed, Written, one_line
from crm_tinydb.collection import Ranked, ranked
from crm_tinydb.state import Holding, State

Key = tuple[str, str]


class Ahead:
    """The state that all queued units lead to, kept as differences from the durable one."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.clear()

    def clear(self) -> None:
        """Nothing is queued, or what was queued has failed."""
        self.seq, self.revision, self.head = self._state.seq, self._state.revision, self._state.head
        self._documents: dict[Key, tuple[int, int]] = {}  # revision (0: deleted) and the seq that made it
        self._values: dict[tuple[str, str, Ranked], dict[str, int]] = {}  # index value -> ids and the seq
        self._claims: dict[Key, tuple[Holding | None, int]] = {}

    def settled(self, change: Change) -> None:
        """A queued change became durable: forget what it said, unless a later one says more."""
        seq = change.seq
        if seq == self.seq:
            self.clear()
            return
        for put in change.puts:
            self._settle_document((put.collection, put.id), seq)
            for key in _places(put.collection, put.indexes):
                ids = self._values.get(key)
                if ids is not None and ids.get(put.id) == seq:
                    del ids[put.id]
                    if not ids:
                        del self._values[key]
        for place in change.deletes:
            self._settle_document(place, seq)
        for held in (*((claim.kind, claim.key) for claim in change.claims), *change.releases):
            if self._claims.get(held, (None, 0))[1] == seq:
                del self._claims[held]

    def _settle_document(self, place: Key, seq: int) -> None:
        if self._documents.get(place, (0, 0))[1] == seq:
            del self._documents[place]

    def document(self, collection: str, id_: str) -> int:
        """A document's revision, 0 where there is none."""
        queued = self._documents.get((collection, id_))
        if queued is not None:
            return queued[0]
        row = self._state.collection(collection).rows.get(id_)
        return 0 if row is None else row[0]

    def count(self, collection: str) -> int:
        """How many documents a collection holds once all that is queued is in."""
        held = self._state.collection(collection).rows
        size = len(held)
        for (name, id_), (revision, _) in self._documents.items():
            if name == collection:
                size += (revision > 0) - (id_ in held)
        return size

    def conflict(self, unit: Unit) -> Conflict | None:
        """The first thing that does not hold: claims, then expectations."""
        seen: dict[Key, Claim] = {}
        for claim in unit.claims:
            refusal = self._claim(claim, unit, seen)
            if refusal is not None:
                return refusal
            seen[claim.kind, claim.key] = claim
        for expectation in unit.expect:
            what = self._unmet(expectation, unit)
            if what is not None:
                return Conflict(what, expectation=expectation)  # type: ignore[arg-type]
        return None

    def _claim(self, claim: Claim, unit: Unit, seen: dict[Key, Claim]) -> Conflict | None:
        place = (claim.kind, claim.key)
        if place in seen:
            return Conflict("claim", claim=claim, evidence=seen[place].evidence)
        highest = self._state.forgotten.get(claim.kind)
        held = None
        if place not in unit.releases:
            held = self._claims[place][0] if place in self._claims else self._state.claims.get(place)
        if held is not None:
            evidence, expires, stamp = held
            if expires is None or unit.now <= expires:
                return Conflict("claim", claim=claim, evidence=evidence)
            if stamp is not None:
                highest = stamp if highest is None else max(highest, stamp)
        if claim.stamp is not None and highest is not None and claim.stamp <= highest:
            return Conflict("forgotten", claim=claim)
        return None

    def _unmet(self, expectation: Expectation, unit: Unit) -> str | None:
        match expectation:
            case WorkspaceAt(revision):
                return None if self.revision == revision else "workspace"
            case DocumentAt(collection, id_, revision):
                return None if self.document(collection, id_) == revision else "document"
            case IndexFree(collection, index, value, id_):
                return None if self._free(collection, index, value, id_) else "index"
            case CountBelow(collection, limit):
                return None if self._grown(collection, unit) <= limit else "count"

    def _free(self, collection: str, index: str, value: IndexValue, id_: str) -> bool:
        queued = self._values.get((collection, index, ranked(value)), {})
        if any(other != id_ for other in queued):
            return False
        holders = self._state.collection(collection).holders(index, value)
        return all(other == id_ or (collection, other) in self._documents for other in holders)

    def _grown(self, collection: str, unit: Unit) -> int:
        after = {d.id: False for d in unit.deletes if d.collection == collection}
        after |= {p.id: True for p in unit.puts if p.collection == collection}
        grown = sum(there - (self.document(collection, id_) > 0) for id_, there in after.items())
        return self.count(collection) + grown

    def take(self, unit: Unit) -> Change:
        """Queue a unit that passed: fill in seq, revisions and the links of the chain. Raises ValueError."""
        seq = self.seq + 1
        puts = tuple(
            Written(p.collection, p.id, self.document(p.collection, p.id) + 1, dict(p.indexes), one_line(p.body))
            for p in unit.puts
        )
        claims = tuple(Claimed(c.kind, c.key, one_line(c.evidence), c.expires, c.stamp) for c in unit.claims)
        head, entries = self._linked(unit.entries)
        change = Change(
            seq=seq,
            now=unit.now,
            revision=self.revision + unit.revises,
            puts=puts,
            deletes=tuple((d.collection, d.id) for d in unit.deletes),
            claims=claims,
            releases=unit.releases,
            entries=entries,
        )
        self._note(change)
        self.seq, self.revision, self.head = seq, change.revision, head
        return change

    def _linked(self, entries: tuple[LogEntry, ...]) -> tuple[Head, tuple[LogEntry, ...]]:
        head, linked = self.head, []
        for entry in entries:
            joined = link(entry, head)
            head = Head(joined.seq or 0, joined.entry_hash or "")
            linked.append(joined)
        return head, tuple(linked)

    def _note(self, change: Change) -> None:
        seq = change.seq
        for place in change.deletes:
            self._void(*place)
            self._documents[place] = (0, seq)
        for put in change.puts:
            self._void(put.collection, put.id)
            self._documents[put.collection, put.id] = (put.revision, seq)
            for key in _places(put.collection, put.indexes):
                self._values.setdefault(key, {})[put.id] = seq
        for place in change.releases:
            self._claims[place] = (None, seq)
        for claim in change.claims:
            self._claims[claim.kind, claim.key] = ((bytes(claim.evidence), claim.expires, claim.stamp), seq)

    def _void(self, collection: str, id_: str) -> None:
        """A later unit writes a queued document again: its earlier index values no longer count."""
        if (collection, id_) in self._documents:
            for key in [k for k, ids in self._values.items() if k[0] == collection and id_ in ids]:
                del self._values[key][id_]
                if not self._values[key]:
                    del self._values[key]


def _places(collection: str, indexes: dict[str, IndexValue]) -> list[tuple[str, str, Ranked]]:
    places: list[tuple[str, str, Ranked]] = []
    for name, value in indexes.items():
        if isinstance(value, tuple):
            places += [(collection, name, (3, each)) for each in value]
        else:
            places.append((collection, name, ranked(value)))
    return places

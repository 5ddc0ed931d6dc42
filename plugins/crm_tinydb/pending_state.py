"""The effects of queued units, and the test of a unit against durable and queued state together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from crm_core.model.log import Head, LogEntry, link
from crm_core.plugin.unit import (
    Claim,
    Conflict,
    Delete,
    DocumentAt,
    DocumentExists,
    Expectation,
    IndexFree,
    IndexValue,
    Put,
    Unit,
    WorkspaceAt,
)
from crm_tinydb.change import Claimed, JournalEntry, LoggedChange, WrittenDocument, encode, one_line, storable
from crm_tinydb.index import Ranked, ranked
from crm_tinydb.state import ClaimValue, State

Place = tuple[str, str]
Content = tuple[dict[str, IndexValue], bytes]
"""The indexes and the text of a put, as they are stored."""


class PendingState:
    """The state after all queued units, stored as differences from the durable state."""

    def __init__(self, state: State) -> None:
        self._state = state
        # For each index that an expectation has ever used: queued value -> ids and the seq that wrote it.
        self._values: dict[str, dict[str, dict[Ranked, dict[str, int]]]] = {}
        self.version = 0  # changes whenever the answer of ``conflict`` may
        self.clear()

    def clear(self) -> None:
        """Forget everything: nothing is queued, or what was queued has failed."""
        self.version += 1
        self.seq, self.revision, self.head = self._state.seq, self._state.revision, self._state.head
        self._place = self._state.place
        self._documents: dict[Place, tuple[int, WrittenDocument | None]] = {}  # the seq that wrote it; None: deleted
        self._sizes: dict[str, int] = {}  # of collections with queued changes
        self._claims: dict[Place, tuple[int, ClaimValue | None]] = {}
        for indexes in self._values.values():
            for queued in indexes.values():
                queued.clear()

    def remove_durable(self, changes: Sequence[JournalEntry]) -> None:
        """Forget changes that are durable now, except where later ones changed the same."""
        if changes and changes[-1].seq == self.seq:
            self.clear()
            return
        for change in changes:
            self._remove(change)

    def _remove(self, change: JournalEntry) -> None:
        seq = change.seq
        for put in change.puts:
            self._remove_document((put.collection, put.id), seq)
            for index, queued in self._values.get(put.collection, {}).items():
                for key in _keys(put, index):
                    ids = queued.get(key)
                    if ids is not None and ids.get(put.id) == seq:
                        del ids[put.id]
                        if not ids:
                            del queued[key]
        for place in change.deletes:
            self._remove_document(place, seq)
        for place in (*((claim.kind, claim.key) for claim in change.claims), *change.releases):
            if self._claims.get(place, (0, None))[0] == seq:
                del self._claims[place]

    def _remove_document(self, place: Place, seq: int) -> None:
        if self._documents.get(place, (0, None))[0] == seq:
            del self._documents[place]

    def document(self, collection: str, id_: str) -> int:
        """A document's revision, 0 if there is none."""
        return self._facts(collection, id_)[0]

    def _facts(self, collection: str, id_: str) -> tuple[int, int]:
        """A document's revision and the place of its newest entry in the change log; zeros if there is none."""
        queued = self._documents.get((collection, id_))
        if queued is not None:
            return (0, 0) if queued[1] is None else (queued[1].revision, queued[1].place)
        row = self._state.collection(collection).rows.get(id_)
        return (0, 0) if row is None else (row[0], row[4])

    def count(self, collection: str) -> int:
        """The number of documents in a collection after all queued units."""
        size = self._sizes.get(collection)
        return len(self._state.collection(collection).rows) if size is None else size

    def conflict(self, unit: Unit) -> Conflict | None:
        """The first claim, then expectation, that fails; None if the unit can be queued."""
        seen: dict[Place, Claim] = {}
        for claim in unit.claims:
            refusal = self._claim(claim, unit, seen)
            if refusal is not None:
                return refusal
            seen[claim.kind, claim.key] = claim
        for expectation in unit.expect:
            what = self._broken(expectation, unit)
            if what is not None:
                return Conflict(what, expectation=expectation)  # type: ignore[arg-type]
        return None

    def _claim(self, claim: Claim, unit: Unit, seen: dict[Place, Claim]) -> Conflict | None:
        place = (claim.kind, claim.key)
        if place in seen:
            return Conflict("claim", claim=claim, evidence=seen[place].evidence)
        highest = self._state.forgotten.get(claim.kind)
        existing = None
        if place not in unit.releases:
            existing = self._claims[place][1] if place in self._claims else self._state.claims.get(place)
        if existing is not None:
            evidence, expires, stamp, _ = existing
            if expires is None or unit.now <= expires:
                return Conflict("claim", claim=claim, evidence=evidence)
            if stamp is not None:
                highest = stamp if highest is None else max(highest, stamp)
        if claim.stamp is not None and highest is not None and claim.stamp <= highest:
            return Conflict("forgotten", claim=claim)
        return None

    def _broken(self, expectation: Expectation, unit: Unit) -> str | None:
        if isinstance(expectation, DocumentAt):
            fits = self.document(expectation.collection, expectation.id) == expectation.revision
            return None if fits else "document"
        if isinstance(expectation, IndexFree):
            return None if self._free(expectation, unit) else "index"
        if isinstance(expectation, WorkspaceAt):
            fits = self.revision == expectation.revision and expectation.epoch in ("", self._state.epoch)
            return None if fits else "workspace"
        if isinstance(expectation, DocumentExists):
            return None if self.document(expectation.collection, expectation.id) else "document"
        return None if self._count_after(expectation.collection, unit) <= expectation.limit else "count"

    def _free(self, expected: IndexFree, unit: Unit) -> bool:
        for id_ in self._holders(expected.collection, expected.index, expected.value):
            if id_ != expected.id and Delete(expected.collection, id_) not in unit.deletes:
                return False
        return True

    def _holders(self, collection: str, index: str, value: IndexValue) -> Iterator[str]:
        """The ids of the documents that have a value in an index."""
        wanted = ranked(value)
        for id_ in self._queued_values(collection, index).get(wanted, ()):
            written = self._documents.get((collection, id_), (0, None))[1]
            if written is not None and wanted in _keys(written, index):
                yield id_
        stored = self._state.collections.get(collection)
        for id_ in () if stored is None else stored.ids_with(index, value):
            if (collection, id_) not in self._documents:
                yield id_

    def _queued_values(self, collection: str, index: str) -> dict[Ranked, dict[str, int]]:
        indexes = self._values.setdefault(collection, {})
        queued = indexes.get(index)
        if queued is None:
            queued = indexes[index] = {}
            for seq, written in self._documents.values():
                if written is not None and written.collection == collection:
                    for key in _keys(written, index):
                        queued.setdefault(key, {})[written.id] = seq
        return queued

    def _count_after(self, collection: str, unit: Unit) -> int:
        after = {d.id: False for d in unit.deletes if d.collection == collection}
        after |= {p.id: True for p in unit.puts if p.collection == collection}
        grown = sum(exists - (self.document(collection, id_) > 0) for id_, exists in after.items())
        return self.count(collection) + grown

    def next(self, unit: Unit, contents: Sequence[Content]) -> JournalEntry:
        """The change of a unit that passed, with seq, revisions, links and its puts' contents. Raises ValueError."""
        facts = [self._facts(p.collection, p.id) for p in unit.puts]
        changes, places = self._logged(unit, [place for _, place in facts])
        puts = [
            WrittenDocument(
                p.collection, p.id, max(revision, p.moved_at) + 1, indexes, msgspec.Raw(body), places.get(p.id, place)
            )
            for p, (indexes, body), (revision, place) in zip(unit.puts, contents, facts, strict=True)
        ]
        claims = [
            Claimed(c.kind, c.key, msgspec.Raw(one_line(c.evidence)), c.expires, c.stamp, c.subject)
            for c in unit.claims
        ]
        return JournalEntry(
            seq=self.seq + 1,
            now=unit.now,
            revision=self.revision + unit.revises,
            puts=tuple(puts),
            deletes=tuple([(d.collection, d.id) for d in unit.deletes]),
            claims=tuple(claims),
            releases=unit.releases,
            entries=self._linked(unit.entries),
            changes=changes,
            erased={each.id: places[each.id] for each in unit.changes if each.change == "erased"},
            epoch="" if self._state.stored_epoch else self._state.epoch,
        )

    def _logged(self, unit: Unit, put_places: Sequence[int]) -> tuple[tuple[msgspec.Raw, ...], dict[str, int]]:
        """A unit's entries of the change log, encoded, and the place of the newest entry of each of its documents."""
        if not unit.changes:
            return (), {}
        places = {d.id: self._facts(d.collection, d.id)[1] for d in unit.deletes}
        for put, place in zip(unit.puts, put_places, strict=True):
            places[put.id] = max(place, places.get(put.id, 0))
        logged = []
        for place, entry in enumerate(unit.changes, self._place + 1):
            previous = places.get(entry.id, 0) if entry.id else 0
            logged.append(msgspec.Raw(encode(LoggedChange(place, previous, entry))))
            places[entry.id] = place
        return tuple(logged), places

    def add(self, change: JournalEntry) -> None:
        """Add the next queued change: later units are tested against it too."""
        self.version += 1
        self._record(change)
        self.seq, self.revision = change.seq, change.revision
        self._place += len(change.changes)
        if change.entries:
            newest = change.entries[-1]
            self.head = Head(newest.seq or 0, newest.entry_hash or "")

    def _linked(self, entries: tuple[LogEntry, ...]) -> tuple[LogEntry, ...]:
        head, linked = self.head, []
        for entry in entries:
            joined = link(entry, head)
            head = Head(joined.seq or 0, joined.entry_hash or "")
            linked.append(joined)
        return tuple(linked)

    def _record(self, change: JournalEntry) -> None:
        seq = change.seq
        for place in change.deletes:
            self._sizes[place[0]] = self.count(place[0]) - (self.document(*place) > 0)
            self._documents[place] = (seq, None)
        for put in change.puts:
            place = (put.collection, put.id)
            if not self.document(*place):  # it did not exist before
                self._sizes[put.collection] = self.count(put.collection) + 1
            self._documents[place] = (seq, put)
            if put.collection in self._values:
                for index, values in self._values[put.collection].items():
                    for key in _keys(put, index):
                        values.setdefault(key, {})[put.id] = seq
        for place in change.releases:
            self._claims[place] = (seq, None)
        for claim in change.claims:
            self._claims[claim.kind, claim.key] = (
                seq,
                (bytes(claim.evidence), claim.expires, claim.stamp, claim.subject),
            )


def content_of(put: Put) -> Content:
    """The content of a put. Raises ValueError if it cannot be stored."""
    if put.collection.startswith("_"):
        raise ValueError("collection names beginning with _ are reserved for the store")
    return storable(put.indexes), one_line(put.body)


def _keys(written: WrittenDocument, index: str) -> tuple[Ranked, ...]:
    value = written.indexes.get(index)
    return tuple((3, each) for each in value) if isinstance(value, tuple) else (ranked(value),)

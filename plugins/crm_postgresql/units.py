"""Units as ``crm.commit`` reads them, and its outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from crm_core.model.log import Head, LogEntry, hashed_text
from crm_core.plugin.unit import (
    Claim,
    Committed,
    Conflict,
    CountBelow,
    DocumentAt,
    DocumentExists,
    Expectation,
    IndexFree,
    Put,
    Unit,
    WorkspaceAt,
)
from crm_postgresql.keys import TEXT, key_of, keys_of
from crm_postgresql.wire import array_text

_encode = msgspec.json.Encoder().encode
_SEQ = b'"seq":0'
_ALONE = {"repeats", "erases"}
_NO_CLAIMS = {"claims": (), "expires": None, "stamp": None}
_Place = tuple[str, str]  # collection and id


class EncodedUnit(NamedTuple):
    """A unit as JSON, and the documents that it reads or writes, and writes; both None if it is written by itself."""

    text: bytes
    touches: frozenset[_Place] | None = None
    writes: frozenset[_Place] | None = None


def encoded(unit: Unit) -> EncodedUnit:
    """A unit as ``crm.commit`` reads it. Raises ValueError for a value that cannot be stored."""
    writes = {(p.collection, p.id) for p in unit.puts}
    stored = {(e.collection, e.id) for e in unit.expect if isinstance(e, DocumentAt) and e.revision}
    members = {
        "now": unit.now,
        "expect": list(map(_expectation, unit.expect)),
        "puts": [_put(each, stored) for each in unit.puts],
        "deletes": [(d.collection, d.id) for d in unit.deletes],
        "releases": unit.releases,
        "entries": list(map(_entry, unit.entries)),
        "changes": [(c.type, c.id, c.change or "", c.at, _encode(c).decode()) for c in unit.changes],
        "revises": int(unit.revises),
        **(_claims(unit.claims) if unit.claims else _NO_CLAIMS),
        **_facts(unit, len(writes)),
    }
    if members.keys() & _ALONE or unit.claims or unit.releases or unit.revises:
        return EncodedUnit(_encode(members))
    reads = []
    for each in unit.expect:
        if isinstance(each, (IndexFree, CountBelow)):
            return EncodedUnit(_encode(members))
        if not isinstance(each, WorkspaceAt):
            reads.append((each.collection, each.id))
    writes.update((d.collection, d.id) for d in unit.deletes)
    return EncodedUnit(_encode(members), frozenset(writes.union(reads)), frozenset(writes))


def _claims(claims: Sequence[Claim]) -> dict[str, Any]:
    """Claims, the time at which the first of them expires, and their lowest stamp."""
    return {
        "claims": [(c.kind, c.key, c.evidence.decode(), c.expires, c.stamp, c.subject) for c in claims],
        "expires": min((c.expires for c in claims if c.expires is not None), default=None),
        "stamp": min((c.stamp for c in claims if c.stamp is not None), default=None),
    }


def _facts(unit: Unit, documents: int) -> dict[str, bool]:
    """Members that are there or not: what ``crm.commit`` would have to look for."""
    facts = {}
    if len({*unit.releases, *[(c.kind, c.key) for c in unit.claims]}) == len(unit.claims) + len(unit.releases):
        facts["distinct"] = True  # claims and releases: most likely all claims can be made
    if documents < len(unit.puts):
        facts["repeats"] = True  # a document is put several times
    if any(change.change == "erased" for change in unit.changes):
        facts["erases"] = True
    return facts


def lists(units: Iterable[EncodedUnit]) -> bytes:
    """Units in their order, in lists of those that can be written together, as JSON.

    A unit is in one list with those before it if none of them writes what it reads or writes.
    """
    found: list[list[bytes]] = []
    written: set[_Place] | None = None  # by the last list; None: it takes no other unit
    for text, touches, writes in units:
        if written is None or touches is None or not written.isdisjoint(touches):
            found.append([])
            written = set()
        found[-1].append(text)
        written = None if writes is None else written | writes
    return b"[%b]" % b",".join([b"[%b]" % b",".join(each) for each in found])


def _put(put: Put, stored: set[_Place]) -> tuple[Any, ...]:
    """A put; whether it makes a document or leaves its indexes as they are, as far as can be guessed; their names."""
    if put.collection.startswith("_"):
        raise ValueError("collection names beginning with _ are reserved for the store")
    indexes = {  # a printable text has nothing that would be written in another way
        name: [TEXT + value] if isinstance(value, str) and value.isprintable() else keys_of(value)
        for name, value in put.indexes.items()
    }
    simple = not put.moved_at and (not indexes or (put.collection, put.id) not in stored)
    return put.collection, put.id, _text(put.body), indexes, put.moved_at, simple, _names(tuple(indexes))


@lru_cache(256)
def _names(names: tuple[str, ...]) -> str:
    """The names of indexes, of which a collection has the same again and again."""
    return array_text(names)


def _text(body: bytes) -> str:
    """The text of a body, which must be JSON. Raises ValueError."""
    msgspec.json.decode(body, type=msgspec.Raw)
    return body.decode()


def _expectation(expectation: Expectation) -> tuple[Any, ...]:
    match expectation:
        case WorkspaceAt(revision, epoch):
            return "workspace", revision, epoch
        case DocumentAt(collection, id_, revision):
            return "document", collection, id_, revision
        case DocumentExists(collection, id_):
            return "exists", collection, id_
        case IndexFree(collection, index, value, id_):
            return "index", collection, index, key_of(value[0] if isinstance(value, tuple) else value), id_
        case CountBelow(collection, limit):
            return "count", collection, limit


def _entry(entry: LogEntry) -> dict[str, Any]:
    """The text that is hashed, around the seq that the database gives, and the members that queries name."""
    before, _, after = hashed_text(msgspec.structs.replace(entry, seq=0)).partition(_SEQ)
    return {"before": before.decode() + '"seq":', "after": after.decode(), **entry_columns(entry)}


def entry_columns(entry: LogEntry) -> dict[str, Any]:
    """The members of an entry that queries name."""
    return {
        "id": entry.id,
        "received_at": entry.received_at,
        "payload_type": entry.payload_type,
        "status": entry.status,
        "signature_result": entry.signature_result,
        "key_version": entry.key_version,
        "request_id": entry.request_id,
    }


def outcomes(units: list[Unit], text: str) -> list[Committed | Conflict]:
    """The outcomes of units, as ``crm.commit`` and ``crm.commit_together`` return them."""
    return [_outcome(unit, found) for unit, found in zip(units, msgspec.json.decode(text), strict=True)]


def _outcome(unit: Unit, found: list[Any]) -> Committed | Conflict:
    if isinstance(found[0], int):
        seq, revision, head_seq, head_hash, documents = found
        return Committed(seq, revision, Head(head_seq, head_hash), tuple(documents))
    what, number, evidence = found
    if what in ("claim", "forgotten"):
        return Conflict(what, claim=unit.claims[number], evidence=evidence.encode())
    return Conflict("document" if what == "exists" else what, expectation=unit.expect[number])

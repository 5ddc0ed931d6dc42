"""Units as ``crm.commit`` reads them, and its outcomes."""

from __future__ import annotations

from typing import Any

import msgspec

from crm_core.model.log import Head, LogEntry, hashed_text
from crm_core.plugin.unit import (
    Committed,
    Conflict,
    CountBelow,
    DocumentAt,
    DocumentExists,
    Expectation,
    IndexFree,
    Unit,
    WorkspaceAt,
)
from crm_postgresql.keys import key_of, keys_of

_encode = msgspec.json.Encoder().encode
_SEQ = b'"seq":0'


def encoded(unit: Unit) -> bytes:
    """A unit as JSON. Raises ValueError for a value that cannot be stored."""
    if any(put.collection.startswith("_") for put in unit.puts):
        raise ValueError("collection names beginning with _ are reserved for the store")
    members = {
        "now": unit.now,
        "claims": [(c.kind, c.key, c.evidence.decode(), c.expires, c.stamp, c.subject) for c in unit.claims],
        "expect": [_expectation(each) for each in unit.expect],
        "puts": [
            (p.collection, p.id, _text(p.body), {n: keys_of(v) for n, v in p.indexes.items()}, p.moved_at)
            for p in unit.puts
        ],
        "deletes": [(d.collection, d.id) for d in unit.deletes],
        "releases": unit.releases,
        "entries": [_entry(entry) for entry in unit.entries],
        "changes": [(c.type, c.id, c.change or "", c.at, _encode(c).decode()) for c in unit.changes],
        "revises": int(unit.revises),
    }
    return _encode(members)


def _text(body: bytes) -> str:
    """The text of a body, which must be JSON. Raises ValueError."""
    msgspec.json.decode(body, type=msgspec.Raw)
    return body.decode()


def _expectation(expectation: Expectation) -> tuple[Any, ...]:
    match expectation:
        case WorkspaceAt(revision):
            return "workspace", revision
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
    return {
        "before": before.decode() + '"seq":',
        "after": after.decode(),
        **entry_columns(entry),
    }


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
    """The outcomes of units, as ``crm.commit`` returns them."""
    return [_outcome(unit, found) for unit, found in zip(units, msgspec.json.decode(text), strict=True)]


def _outcome(unit: Unit, found: list[Any]) -> Committed | Conflict:
    if isinstance(found[0], int):
        seq, revision, head_seq, head_hash, documents = found
        return Committed(seq, revision, Head(head_seq, head_hash), tuple(documents))
    what, number, evidence = found
    if what in ("claim", "forgotten"):
        return Conflict(what, claim=unit.claims[number], evidence=evidence.encode())
    return Conflict("document" if what == "exists" else what, expectation=unit.expect[number])

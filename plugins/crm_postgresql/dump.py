"""A tenant as a dump, from one transaction, and back, in one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from crm_core.model.log import Head, LogEntry, hashed_text
from crm_core.plugin.storage import Claim, Document, DumpHead, IndexedDocument, IndexValue, Part, StoredChange
from crm_postgresql.keys import keys_of, value_of
from crm_postgresql.rows import change_of, entry_of
from crm_postgresql.units import entry_columns

_SOME: Final = 500
_TENANT: Final = "SELECT set_config('crm.tenant', %s, true)"
_HEAD: Final = """
SELECT seq, revision, head_seq, head_hash, anchor_seq, anchor_hash, epoch, newest,
    (SELECT coalesce(jsonb_object_agg(kind, stamp), '{}')::text FROM crm.forgotten f WHERE f.tenant = s.tenant)
FROM crm.stores s WHERE tenant = %s"""
_DOCUMENTS: Final = """
SELECT collection, id, revision, body, indexes::text FROM crm.documents WHERE tenant = %s ORDER BY collection, id"""
_CLAIMS: Final = """
SELECT kind, key, evidence, expires, stamp, subject FROM crm.claims WHERE tenant = %s ORDER BY kind, key"""
_LOG: Final = """
SELECT entry, prev_hash, entry_hash FROM crm.log l WHERE tenant = %s
    AND seq > (SELECT anchor_seq FROM crm.stores s WHERE s.tenant = l.tenant) ORDER BY seq"""
_ATTEMPTS: Final = "SELECT entry FROM crm.attempts WHERE tenant = %s ORDER BY id"
_CHANGES: Final = """
SELECT place, entry FROM crm.changes c WHERE tenant = %s
    AND place > (SELECT oldest FROM crm.stores s WHERE s.tenant = c.tenant) ORDER BY place"""
_encode = msgspec.json.Encoder().encode


async def dump(db: AsyncConnection[Any], tenant: str) -> AsyncGenerator[Part, None]:
    """As ``StorageBackend.dump``; ``tenant`` as the tables name it."""
    async with db.transaction():
        await db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # Before its moment: a partition that is dropped later would be missing, though the anchor is before it.
        await db.execute("LOCK TABLE crm.log, crm.changes IN ACCESS SHARE MODE")
        await db.execute(_TENANT, (tenant,))
        async for row in _rows(db, _HEAD, tenant):
            seq, revision, head_seq, head_hash, anchor_seq, anchor_hash, epoch, newest, forgotten = row
            yield DumpHead(
                seq=seq,
                revision=revision,
                head=Head(head_seq, head_hash),
                anchor=Head(anchor_seq, anchor_hash),
                forgotten=msgspec.json.decode(forgotten),
                epoch=epoch,
                newest=newest,
            )
        async for collection, id_, revision, body, indexes in _rows(db, _DOCUMENTS, tenant):
            yield IndexedDocument(Document(collection, id_, revision, body.encode()), _values(indexes))
        async for kind, key, evidence, expires, stamp, subject in _rows(db, _CLAIMS, tenant):
            yield Claim(kind, key, evidence.encode(), expires, stamp, subject)
        async for row in _rows(db, _LOG, tenant):
            yield entry_of(*row)
        async for (text,) in _rows(db, _ATTEMPTS, tenant):
            yield entry_of(text, None, None)
        async for row in _rows(db, _CHANGES, tenant):
            yield change_of(*row)


async def _rows(db: AsyncConnection[Any], query: str, tenant: str) -> AsyncIterator[Any]:
    async with db.cursor("dump") as cursor:
        await cursor.execute(query, (tenant,))
        while some := await cursor.fetchmany(_SOME):
            for row in some:
                yield row


def _values(indexes: str) -> dict[str, IndexValue]:
    found: dict[str, IndexValue] = {}
    for name, keys in msgspec.json.decode(indexes).items():
        values = [value_of(key) for key in keys]
        found[name] = values[0] if len(values) == 1 else tuple(map(str, values))
    return found


async def load(db: AsyncConnection[Any], instance: str, name: str, parts: AsyncIterator[Part]) -> None:
    """As ``StorageBackend.load``."""
    tenant = f"{instance}/{name}"
    async with db.transaction():
        await db.execute(_TENANT, (tenant,))
        some: list[Any] = []
        async for part in parts:
            if some and (type(part) is not type(some[0]) or len(some) >= _SOME):
                await _write(db, tenant, some)
                some = []
            some.append(part)
        await _write(db, tenant, some)
        await db.execute(_COLLECTIONS, (tenant,))
        await db.execute(_KEY_USES, (tenant,))
        await db.execute(_STORE, (tenant,))
        await db.execute("INSERT INTO crm.tenants (instance, name) VALUES (%s, %s)", (instance, name))
    await db.execute("ANALYZE crm.documents, crm.keys")  # or lists are planned as if there were none, for a minute


_COLLECTIONS: Final = """
INSERT INTO crm.collections SELECT tenant, collection, crm.names(indexes), count(*)
FROM crm.documents WHERE tenant = %s GROUP BY 1, 2, 3"""
_KEY_USES: Final = """
INSERT INTO crm.key_uses SELECT tenant, key_version, count(*), max(received_at)
FROM crm.log WHERE tenant = %s AND key_version IS NOT NULL GROUP BY 1, 2"""
_STORE: Final = """
UPDATE crm.stores s SET oldest = coalesce((SELECT min(place) - 1 FROM crm.changes c WHERE c.tenant = s.tenant), newest),
    forgotten = (SELECT max(stamp) FROM crm.forgotten f WHERE f.tenant = s.tenant)
WHERE tenant = %s"""
_WRITE: Final[dict[Any, str]] = {
    DumpHead: """
WITH h AS (SELECT value AS e FROM jsonb_array_elements(%(rows)s)),
f AS (INSERT INTO crm.forgotten SELECT %(tenant)s, key, value::bigint FROM h, jsonb_each_text(e->8))
INSERT INTO crm.stores (tenant, seq, revision, head_seq, head_hash, anchor_seq, anchor_hash, epoch, newest)
SELECT %(tenant)s, (e->>0)::bigint, (e->>1)::bigint, (e->>2)::bigint, e->>3, (e->>4)::bigint, e->>5, e->>6,
    (e->>7)::bigint FROM h""",
    IndexedDocument: """
WITH d AS (INSERT INTO crm.documents SELECT %(tenant)s, e->>0, e->>1, (e->>2)::bigint, e->>3, e->4
    FROM jsonb_array_elements(%(rows)s) e RETURNING tenant, collection, id, indexes)
INSERT INTO crm.keys SELECT d.tenant, d.collection, k.name, k.key, d.id FROM d, crm.keys_of(d.indexes, '{}') k""",
    Claim: """
INSERT INTO crm.claims SELECT %(tenant)s, c->>0, c->>1, c->>2, (c->>3)::bigint, (c->>4)::bigint, c->>5
FROM jsonb_array_elements(%(rows)s) c""",
    StoredChange: """
INSERT INTO crm.changes SELECT %(tenant)s, (c->>0)::bigint, c->>1, c->>2, c->>3, c->>4, c->>5
FROM jsonb_array_elements(%(rows)s) c""",
    LogEntry: """
WITH e AS (SELECT value AS e FROM jsonb_array_elements(%(rows)s)),
a AS (INSERT INTO crm.attempts SELECT %(tenant)s, e->>'id', e->>'received_at', e->>'payload_type', e->>'status',
    e->>'signature_result', (e->>'key_version')::bigint, e->>'request_id', (e->>'count')::bigint, e->>'entry'
    FROM e WHERE e->>'seq' IS NULL)
INSERT INTO crm.log SELECT %(tenant)s, (e->>'seq')::bigint, e->>'id', e->>'received_at', e->>'payload_type',
    e->>'status', e->>'signature_result', (e->>'key_version')::bigint, e->>'request_id', e->>'prev_hash',
    e->>'entry_hash', e->>'entry' FROM e WHERE e->>'seq' IS NOT NULL""",
}


async def _write(db: AsyncConnection[Any], tenant: str, parts: list[Any]) -> None:
    if parts:
        kind = type(parts[0])
        rows = _encode([_ROWS[kind](part) for part in parts]).decode()
        await db.execute(_WRITE[kind], {"tenant": tenant, "rows": rows})


def _head_row(part: DumpHead) -> Any:
    head, anchor = part.head, part.anchor
    return (
        *(part.seq, part.revision, head.seq, head.hash, anchor.seq, anchor.hash, part.epoch, part.newest),
        part.forgotten,
    )


def _document_row(part: IndexedDocument) -> Any:
    one = part.document
    indexes = {name: keys_of(value) for name, value in part.indexes.items()}
    return one.collection, one.id, one.revision, one.body.decode(), indexes


def _entry_row(part: LogEntry) -> Any:
    text = _encode(part) if part.seq is None else hashed_text(part)
    more = {"seq": part.seq, "count": part.count, "prev_hash": part.prev_hash, "entry_hash": part.entry_hash}
    return {**entry_columns(part), **more, "entry": text.decode()}


def _claim_row(part: Claim) -> Any:
    return part.kind, part.key, part.evidence.decode(), part.expires, part.stamp, part.subject


def _change_row(part: StoredChange) -> Any:
    one = part.entry
    return part.place, one.at, one.type, one.id, one.change or "", _encode(one).decode()


_ROWS: Final[dict[Any, Callable[[Any], Any]]] = {
    DumpHead: _head_row,
    IndexedDocument: _document_row,
    Claim: _claim_row,
    LogEntry: _entry_row,
    StoredChange: _change_row,
}

"""The folded file: a tenant at rest, as JSON that stock TinyDB opens.

Each collection is a table of ``{"id", "revision", "indexes", "body"}``; ``_store`` and ``_claims`` are the store's
own. Every row stands on its own line, and the last table, ``_check``, holds the CRC-32 of all bytes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from crm_core.model.log import Head, LogEntry
from crm_core.plugin.unit import IndexValue
from crm_tinydb.checksum import check_whole, ending
from crm_tinydb.collection import Collection
from crm_tinydb.disk import Disk, drop, write_all
from crm_tinydb.framing import FORMAT, Damaged, check_format
from crm_tinydb.index import Row
from crm_tinydb.segments import Segment
from crm_tinydb.state import Holding, State

SLICE = 200  # rows encoded before the thread lets others run
CHUNK = 1 << 18  # bytes per write
_json = msgspec.json.Encoder().encode


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The table ``_store``: what is true of the whole tenant at this generation."""

    format: int = FORMAT
    generation: int
    seq: int
    revision: int
    now: int
    head: Head
    anchor: Head
    forgotten: dict[str, int] = {}
    segments: tuple[Segment, ...] = ()


class StoredRow(msgspec.Struct, frozen=True):
    """A document as a TinyDB document."""

    id: str
    revision: int
    indexes: dict[str, IndexValue]
    body: msgspec.Raw


class StoredClaim(msgspec.Struct, frozen=True):
    """A claim as a TinyDB document."""

    kind: str
    key: str
    evidence: msgspec.Raw
    expires: int | None
    stamp: int | None


class Folded(msgspec.Struct, frozen=True):
    """What a folded file holds; ``log`` and ``ring`` only in a backup."""

    summary: Summary
    state: State
    length: int = 0
    log: tuple[LogEntry, ...] = ()
    ring: tuple[LogEntry, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """A tenant as of one moment, shallow copies that nobody changes."""

    collections: tuple[tuple[str, dict[str, Row]], ...]
    claims: dict[tuple[str, str], Holding]
    seq: int
    revision: int
    now: int
    head: Head
    forgotten: dict[str, int]


def store_name(generation: int) -> str:
    """The file name of a generation's folded file."""
    return f"store-{generation:08d}.json"


def snapshot(state: State) -> Snapshot:
    """Freeze a state; costs a shallow copy."""
    return Snapshot(
        collections=tuple((name, dict(held.rows)) for name, held in sorted(state.collections.items())),
        claims=dict(state.claims),
        seq=state.seq,
        revision=state.revision,
        now=state.now,
        head=state.head,
        forgotten=dict(state.forgotten),
    )


def summary_of(frozen: Snapshot, generation: int, anchor: Head, segments: tuple[Segment, ...]) -> Summary:
    """The ``_store`` table of a snapshot."""
    return Summary(
        generation=generation,
        seq=frozen.seq,
        revision=frozen.revision,
        now=frozen.now,
        head=frozen.head,
        anchor=anchor,
        forgotten=frozen.forgotten,
        segments=segments,
    )


Table = tuple[str, Iterator[bytes]]


def tables(summary: Summary, frozen: Snapshot, *more: tuple[str, Iterable[LogEntry]]) -> Iterator[Table]:
    """All tables of a folded file as encoded rows."""
    yield "_store", iter((_json(summary),))
    yield (
        "_claims",
        (
            _json(StoredClaim(kind, key, msgspec.Raw(held[0]), held[1], held[2]))
            for (kind, key), held in frozen.claims.items()
        ),
    )
    for name, rows in frozen.collections:
        yield (
            name,
            (
                _json(StoredRow(id_, row[0], dict(zip(row[2], row[3], strict=True)), msgspec.Raw(row[1])))
                for id_, row in rows.items()
            ),
        )
    for name, entries in more:
        yield name, (_json(entry) for entry in entries)


def _pieces(content: Iterable[Table], rest: Callable[[], None]) -> Iterator[bytes]:
    opening = b"{\n"
    for name, rows in content:
        yield opening + _json(name) + b":{\n"
        for number, row in enumerate(rows, 1):
            yield b'%b"%d":%b' % (b"" if number == 1 else b",\n", number, row)
            if number % SLICE == 0:
                rest()
        opening = b"\n},\n"
    yield b"\n}"


def write_folded(disk: Disk, path: Path, content: Iterable[Table], rest: Callable[[], None]) -> int:
    """Write a folded file so that the old one, or nothing, stays until the new one is whole; its length in bytes.

    Raises OSError.
    """
    fresh = path.with_name(path.name + ".new")
    handle = disk.open(fresh, create=True)
    try:
        try:
            checksum = length = 0
            held = bytearray()
            for piece in _pieces(content, rest):
                held += piece
                if len(held) >= CHUNK:
                    checksum, length = crc32(held, checksum), length + len(held)
                    write_all(disk, handle, bytes(held))
                    held.clear()
            checksum, length = crc32(held, checksum), length + len(held)
            write_all(disk, handle, bytes(held) + ending(length, checksum))
            disk.sync(handle)
        finally:
            disk.close(handle)
        disk.replace(fresh, path)
        disk.sync_folder(path.parent)
    except OSError:
        drop(disk, fresh)
        raise
    return length


_row_decoder = msgspec.json.Decoder(StoredRow)
_claim_decoder = msgspec.json.Decoder(StoredClaim)
_entry_decoder = msgspec.json.Decoder(LogEntry)


def read_folded(data: bytes) -> Folded:
    """What a folded file holds. Raises Damaged."""
    end = check_whole(data)
    try:
        return _read(data[:end])
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise Damaged(f"cannot be understood ({error})") from None


def _read(data: bytes) -> Folded:
    state = State()
    claims: dict[tuple[str, str], Holding] = {}
    extra: dict[str, list[LogEntry]] = {"_log": [], "_ring": []}
    summary: Summary | None = None
    name = ""
    rows: dict[str, Row] = {}
    held: Collection | None = None
    for line in _lines(data):
        if line.endswith(b":{"):
            name = msgspec.json.decode(line[:-2], type=str)
            rows, held = {}, (None if name.startswith("_") else Collection(name))
            if held is not None:
                state.collections[name] = held
        elif line in {b"{", b""}:
            continue
        elif line in {b"}", b"},"}:
            if held is not None:
                held.fill(rows)
        else:
            text = line[line.index(b":") + 1 :].removesuffix(b",")
            if held is not None:
                row = _row_decoder.decode(text)
                rows[row.id] = held.row(row.revision, bytes(row.body), row.indexes)
            elif name == "_store":
                summary = _summary(text)
            elif name == "_claims":
                claim: StoredClaim = _claim_decoder.decode(text)
                claims[claim.kind, claim.key] = (bytes(claim.evidence), claim.expires, claim.stamp)
            else:
                extra[name].append(_entry_decoder.decode(text))
    if summary is None:
        raise ValueError("the table _store is missing")
    state.hold(claims)
    state.seq, state.revision, state.now, state.head = summary.seq, summary.revision, summary.now, summary.head
    state.forgotten = dict(summary.forgotten)
    return Folded(summary, state, len(data), tuple(extra["_log"]), tuple(extra["_ring"]))


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start:end]
        start = end + 1
    yield data[start:]


def _summary(text: bytes) -> Summary:
    raw: dict[str, Any] = msgspec.json.decode(text)
    check_format(raw.get("format"))
    return msgspec.convert(raw, Summary, str_keys=True)


__all__ = [
    "Folded",
    "Snapshot",
    "Summary",
    "read_folded",
    "snapshot",
    "store_name",
    "summary_of",
    "tables",
    "write_folded",
]

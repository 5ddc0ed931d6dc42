"""The folded file: a whole tenant as JSON that stock TinyDB opens.

Each collection is a table of ``{"id", "revision", "indexes", "body"}``; ``_store`` and ``_claims`` belong to the
store. Every row has its own line, and the last table, ``_check``, has the CRC-32 of all bytes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from crm_core.model.fields import prepare
from crm_core.model.log import Head, LogEntry
from crm_core.model.turns import Turn
from crm_core.plugin.storage import IndexValue, Reindex
from crm_tinydb.change_segments import ChangeSegment
from crm_tinydb.change_segments import decoder as change_decoder
from crm_tinydb.checksum import check_whole, ending
from crm_tinydb.collection import Collection
from crm_tinydb.copies import Copy, copied, copied_in_turns
from crm_tinydb.disk import Disk, write_chunks
from crm_tinydb.framing import FORMAT, Damaged, check_format
from crm_tinydb.index import Row
from crm_tinydb.segments import Segment, entry_decoder
from crm_tinydb.state import ClaimValue, State

SLICE = 25  # rows encoded before the thread pauses: less than a millisecond's work
CHUNK = 1 << 18  # bytes per write
_json = msgspec.json.Encoder().encode


class FoldedSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The table ``_store``: the facts of the whole tenant at this generation."""

    format: int = FORMAT
    generation: int
    seq: int
    revision: int
    now: int
    head: Head
    anchor: Head
    forgotten: dict[str, int] = {}
    segments: tuple[Segment, ...] = ()
    epoch: str = ""  # of the change log
    place: int = 0  # of its newest entry
    change_segments: tuple[ChangeSegment, ...] = ()
    sole: bool = False  # whether no earlier generation may stay


prepare((FoldedSummary,))  # threads open tenants


class StoredRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document as a TinyDB document. ``place``: of its newest entry in the change log."""

    id: str
    revision: int
    indexes: dict[str, IndexValue]
    body: msgspec.Raw
    place: int = 0


class StoredClaim(msgspec.Struct, frozen=True):
    """A claim as a TinyDB document."""

    kind: str
    key: str
    evidence: msgspec.Raw
    expires: int | None
    stamp: int | None
    subject: str = ""


class Folded(msgspec.Struct, frozen=True):
    """The content of a folded file; ``log``, ``ring`` and ``changes`` only in a backup."""

    summary: FoldedSummary
    state: State
    length: int = 0
    log: tuple[LogEntry, ...] = ()
    ring: tuple[LogEntry, ...] = ()
    changes: tuple[bytes, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """A tenant at one moment, as shallow copies that never change."""

    summary: FoldedSummary
    collections: tuple[tuple[str, Copy[str, Row]], ...]
    claims: Copy[tuple[str, str], ClaimValue]


def store_name(generation: int) -> str:
    """The file name of a generation's folded file."""
    return f"store-{generation:08d}.json"


def summarized(
    state: State,
    generation: int,
    anchor: Head,
    segments: tuple[Segment, ...] = (),
    change_segments: tuple[ChangeSegment, ...] = (),
) -> FoldedSummary:
    """The summary of a state for its folded file."""
    return FoldedSummary(
        generation=generation,
        seq=state.seq,
        revision=state.revision,
        now=state.now,
        head=state.head,
        anchor=anchor,
        forgotten=dict(state.forgotten),
        segments=segments,
        epoch=state.epoch,
        place=state.place,
        change_segments=change_segments,
    )


def snapshot(state: State, summary: FoldedSummary) -> Snapshot:
    """Freeze a state that belongs to this thread alone."""
    collections = tuple((name, copied(rows.rows)) for name, rows in sorted(state.collections.items()))
    return Snapshot(summary, collections, copied(state.claims))


async def snapshot_in_turns(state: State, summary: FoldedSummary) -> Snapshot:
    """Freeze a state that does not change meanwhile."""
    turn = Turn()
    tables = sorted(state.collections.items())
    collections = tuple([(name, await copied_in_turns(rows.rows, turn)) for name, rows in tables])
    return Snapshot(summary, collections, await copied_in_turns(state.claims, turn))


Table = tuple[str, Iterator[bytes]]
More = tuple[str, Iterable[LogEntry | msgspec.Raw]]


def _tables(frozen: Snapshot, more: Iterable[More]) -> Iterator[Table]:
    yield "_store", iter((_json(frozen.summary),))
    yield (
        "_claims",
        (
            _json(StoredClaim(kind, key, msgspec.Raw(evidence), expires, stamp, subject))
            for (kind, key), (evidence, expires, stamp, subject) in frozen.claims.items()
        ),
    )
    for name, rows in frozen.collections:
        yield (
            name,
            (
                _json(StoredRow(id_, row[0], dict(zip(row[2], row[3], strict=True)), msgspec.Raw(row[1]), row[4]))
                for id_, row in rows.items()
            ),
        )
    for name, entries in more:
        yield name, (_json(entry) for entry in entries)


def _pieces(content: Iterable[Table], pause: Callable[[], None]) -> Iterator[bytes]:
    opening = b"{\n"
    for name, rows in content:
        yield opening + _json(name) + b":{\n"
        for number, row in enumerate(rows, 1):
            yield b'%b"%d":%b' % (b"" if number == 1 else b",\n", number, row)
            if number % SLICE == 0:
                pause()
        opening = b"\n},\n"
    yield b"\n}"


def write_folded(disk: Disk, path: Path, frozen: Snapshot, *, pause: Callable[[], None]) -> int:
    """Write a folded file; return its length in bytes.

    Raises OSError; until the new file is complete the old one, or nothing, stays.
    """
    return write_chunks(disk, path, folded_chunks(frozen, pause=pause))


def folded_chunks(frozen: Snapshot, *more: More, pause: Callable[[], None]) -> Iterator[bytes]:
    """The bytes of a folded file, with tables of log entries and changes after the rest."""
    return _chunks(_pieces(_tables(frozen, more), pause))


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces joined for fewer writes, then the ending with their checksum."""
    checksum = length = 0
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= CHUNK:
            checksum, length = crc32(buffer, checksum), length + len(buffer)
            yield bytes(buffer)
            buffer.clear()
    checksum, length = crc32(buffer, checksum), length + len(buffer)
    yield bytes(buffer) + ending(length, checksum)


_row_decoder = msgspec.json.Decoder(StoredRow)
_claim_decoder = msgspec.json.Decoder(StoredClaim)


def read_folded(data: bytes, reindex: Reindex | None = None) -> Folded:
    """Read a folded file. Raises Damaged."""
    end = check_whole(data)
    try:
        return _read(data, end, State(reindex))
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise Damaged(f"cannot be understood ({error})") from None


def _read(data: bytes, end: int, state: State) -> Folded:
    claims: dict[tuple[str, str], ClaimValue] = {}
    extra: dict[str, list[LogEntry]] = {"_log": [], "_ring": []}
    changes: list[bytes] = []
    summary: FoldedSummary | None = None
    name = ""
    rows: dict[str, Row] = {}
    collection: Collection | None = None
    for line in _lines(data, end):
        if line.endswith(b":{"):
            name = msgspec.json.decode(line[:-2], type=str)
            rows, collection = {}, (None if name.startswith("_") else state.add(name))
        elif line in {b"{", b""}:
            continue
        elif line in {b"}", b"},"}:
            if collection is not None:
                collection.rows = rows
        else:
            text = line[line.index(b":") + 1 :].removesuffix(b",")
            if collection is not None:
                row = _row_decoder.decode(text)
                rows[row.id] = collection.row(row.revision, bytes(row.body), row.indexes, row.place)
            elif name == "_store":
                summary = _summary(text)
            elif name == "_claims":
                claim: StoredClaim = _claim_decoder.decode(text)
                claims[claim.kind, claim.key] = (bytes(claim.evidence), claim.expires, claim.stamp, claim.subject)
            elif name == "_changes":
                change_decoder.decode(text)  # it must be one
                changes.append(text)
            else:
                extra[name].append(entry_decoder.decode(text))
    if summary is None:
        raise ValueError("the table _store is missing")
    state.load_claims(claims)
    state.seq, state.revision, state.now, state.head = summary.seq, summary.revision, summary.now, summary.head
    state.forgotten = dict(summary.forgotten)
    state.epoch, state.stored_epoch, state.place = summary.epoch, bool(summary.epoch), summary.place
    return Folded(summary, state, end, tuple(extra["_log"]), tuple(extra["_ring"]), tuple(changes))


def _lines(data: bytes, whole: int) -> Iterator[bytes]:
    start = 0
    while (end := data.find(b"\n", start, whole)) >= 0:
        yield data[start:end]
        start = end + 1
    yield data[start:whole]


def _summary(text: bytes) -> FoldedSummary:
    raw: dict[str, Any] = msgspec.json.decode(text)
    check_format(raw.get("format"))
    return msgspec.convert(raw, FoldedSummary, str_keys=True)

"""Segments of logs on disk, and those of the chained log: each written completely, and never changed.

The folded file lists them with a summary each, which reveals a missing, truncated or changed segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar
from zlib import crc32

import msgspec

from crm_core.model.log import Head, LogEntry
from crm_core.plugin.query import EntryQuery, KeyUse
from crm_tinydb.disk import Disk, write_file
from crm_tinydb.framing import Damaged, decoded, framed, header_line, read_header, read_lines

LOG, CHANGES = "log segment", "change segment"
PREVIOUS = "previous"  # the folder of the previous generation
FULL = 4096  # entries; a shorter last segment is rewritten with the entries that follow

_encode = msgspec.json.Encoder().encode
entry_decoder = msgspec.json.Decoder(LogEntry)


class StoredSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment's summary: its file, and its first and last entry by number."""

    KIND: ClassVar[str]

    name: str
    first: int
    last: int
    size: int
    crc: int

    @property
    def count(self) -> int:
        """The number of entries."""
        return self.last - self.first + 1


class Segment(StoredSegment, frozen=True, kw_only=True):
    """The summary of a segment of the chained log."""

    KIND = LOG

    last_hash: str
    low_id: str
    high_id: str
    low_at: str
    high_at: str
    statuses: dict[str, int]
    keys: dict[int, KeyUse]


def entry_line(entry: LogEntry) -> bytes:
    """An entry as a checksummed line."""
    return framed(_encode(entry))


def key_uses(entries: Iterable[LogEntry], uses: dict[int, KeyUse]) -> dict[int, KeyUse]:
    """Add the key versions of verified entries to ``uses``."""
    for entry in entries:
        if entry.key_version is not None:
            add_use(uses, entry.key_version, KeyUse(1, entry.received_at))
    return uses


def add_use(uses: dict[int, KeyUse], version: int, more: KeyUse) -> None:
    """Add to the count of a key version."""
    known = uses.get(version)
    uses[version] = (
        more if known is None else KeyUse(known.uses + more.uses, max(known.last_used_at, more.last_used_at))
    )


def write_segment(disk: Disk, folder: Path, entries: Sequence[LogEntry]) -> Segment:
    """Write consecutive entries as a segment. Raises OSError."""
    first, last = entries[0].seq or 0, entries[-1].seq or 0
    name = f"log-{first:010d}-{last:010d}.seg"
    data = header_line(LOG, 1, first - 1) + b"".join(map(entry_line, entries))
    write_file(disk, folder / name, data)
    statuses: dict[str, int] = {}
    for entry in entries:
        statuses[entry.status] = statuses.get(entry.status, 0) + entry.count
    return Segment(
        name=name,
        first=first,
        last=last,
        last_hash=entries[-1].entry_hash or "",
        size=len(data),
        crc=crc32(data),
        low_id=min(entry.id for entry in entries),
        high_id=max(entry.id for entry in entries),
        low_at=min(entry.received_at for entry in entries),
        high_at=max(entry.received_at for entry in entries),
        statuses=statuses,
        keys=key_uses(entries, {}),
    )


class SegmentDamaged(Damaged):
    """A segment that cannot be trusted."""

    def __init__(self, segment: StoredSegment, reason: str) -> None:
        super().__init__(reason)
        self.segment = segment


@contextmanager
def damage_of(segment: StoredSegment) -> Iterator[None]:
    """Raise SegmentDamaged for damage that is found in a segment's file, or if it is missing."""
    try:
        yield
    except FileNotFoundError:
        raise SegmentDamaged(segment, "is missing") from None
    except Damaged as error:
        raise SegmentDamaged(segment, error.reason) from None


def segment_path(disk: Disk, folder: Path, name: str) -> Path:
    """A segment's file; one that only the previous generation lists is in its folder."""
    path = folder / name
    return path if disk.exists(path) else folder / PREVIOUS / name


def segment_bytes(disk: Disk, folder: Path, segment: StoredSegment) -> bytes:
    """A segment's bytes, checked against its summary. Raises SegmentDamaged, OSError."""
    with damage_of(segment):
        data = disk.read(segment_path(disk, folder, segment.name))
        read_header(data, segment.KIND)
        if len(data) != segment.size or crc32(data) != segment.crc:
            raise Damaged("does not fit its checksum")
    return data


def segment_entries(disk: Disk, folder: Path, segment: Segment) -> list[LogEntry]:
    """All entries of a segment, oldest first. Raises SegmentDamaged, OSError."""
    with damage_of(segment):
        return list(_decoded(segment_bytes(disk, folder, segment)))


def _decoded(data: bytes) -> Iterator[LogEntry]:
    for text, _ in read_lines(data, data.index(b"\n") + 1):
        yield decoded(text, entry_decoder)


def matches(entry: LogEntry, query: EntryQuery) -> bool:
    """Whether an entry matches the query, apart from its kind and page."""
    return (
        all(getattr(entry, name, None) == value for name, value in query.equals)
        and (query.since is None or entry.received_at >= query.since)
        and (query.until is None or entry.received_at < query.until)
        and (query.after is None or entry.id < query.after)
    )


def may_match(segment: Segment, query: EntryQuery) -> bool:
    """Whether the segment can have matching entries, by its summary."""
    return (
        (query.since is None or segment.high_at >= query.since)
        and (query.until is None or segment.low_at < query.until)
        and (query.after is None or segment.low_id < query.after)
        and all(name != "status" or value in segment.statuses for name, value in query.equals)
    )


def search_segment(disk: Disk, folder: Path, segment: Segment, query: EntryQuery) -> list[LogEntry]:
    """A segment's matching entries; searches the raw bytes first. Raises SegmentDamaged, OSError."""
    data = segment_bytes(disk, folder, segment)
    with damage_of(segment):
        return _found(data, query)


def _found(data: bytes, query: EntryQuery) -> list[LogEntry]:
    needles = [b'"%b":%b' % (name.encode(), _encode(value)) for name, value in query.equals]
    if any(needle not in data for needle in needles):
        return []
    if not needles:
        return [entry for entry in _decoded(data) if matches(entry, query)]
    found = []
    rarest = min(needles, key=data.count)
    start = data.find(rarest)
    while start >= 0:
        begin, end = data.rfind(b"\n", 0, start) + 1, data.find(b"\n", start)
        line = data[begin:end]
        if all(needle in line for needle in needles):
            entry = decoded(line[9:], entry_decoder)
            if matches(entry, query):
                found.append(entry)
        start = data.find(rarest, end)
    return found


def fold_entries(
    disk: Disk, folder: Path, segments: tuple[Segment, ...], tail: Sequence[LogEntry]
) -> tuple[Segment, ...]:
    """Write the newest entries to segments; a short last segment is rewritten under another name."""
    if not tail:
        return segments
    remaining, entries = segments, list(tail)
    if remaining and remaining[-1].count < FULL:
        entries = segment_entries(disk, folder, remaining[-1]) + entries
        remaining = remaining[:-1]
    written = [write_segment(disk, folder, entries[at : at + FULL]) for at in range(0, len(entries), FULL)]
    return (*remaining, *written)


def retained(segments: tuple[Segment, ...], anchor: Head, oldest: str) -> tuple[tuple[Segment, ...], Head]:
    """Drop whole segments older than ``oldest``; the last dropped hash is the new anchor."""
    remaining = list(segments)
    while len(remaining) > 1 and remaining[0].high_at < oldest:
        dropped = remaining.pop(0)
        anchor = Head(dropped.last, dropped.last_hash)
    return tuple(remaining), anchor

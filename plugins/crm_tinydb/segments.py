"""Segments of the chained log on disk: written once, whole, and never changed.

The folded file lists them with a small summary each, so a segment that is missing, cut or changed shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from zlib import crc32

import msgspec

from crm_core.model.log import Head, LogEntry
from crm_core.plugin.query import EntryQuery, KeyUse
from crm_tinydb.disk import Disk, write_file
from crm_tinydb.framing import Damaged, decoded, header_line, read_header, read_lines, sealed

KIND = "log segment"
PREVIOUS = "previous"  # the folder of the last good generation
FULL = 4096  # entries; a shorter last segment is written anew with what follows it

_encode = msgspec.json.Encoder().encode
entry_decoder = msgspec.json.Decoder(LogEntry)


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a segment without reading it."""

    name: str
    first: int
    last: int
    last_hash: str
    size: int
    crc: int
    low_id: str
    high_id: str
    low_at: str
    high_at: str
    statuses: dict[str, int]
    keys: dict[int, KeyUse]

    @property
    def count(self) -> int:
        """How many entries it holds."""
        return self.last - self.first + 1


def entry_line(entry: LogEntry) -> bytes:
    """An entry as a checksummed line."""
    return sealed(_encode(entry))


def key_uses(entries: Iterable[LogEntry], uses: dict[int, KeyUse]) -> dict[int, KeyUse]:
    """Count the key versions of verified entries on top of ``uses``."""
    for entry in entries:
        if entry.key_version is not None:
            add_use(uses, entry.key_version, KeyUse(1, entry.received_at))
    return uses


def add_use(uses: dict[int, KeyUse], version: int, more: KeyUse) -> None:
    """Join two counts of a key version."""
    held = uses.get(version)
    uses[version] = more if held is None else KeyUse(held.uses + more.uses, max(held.last_used_at, more.last_used_at))


def write_segment(disk: Disk, folder: Path, entries: Sequence[LogEntry]) -> Segment:
    """Write entries that follow one another as a segment. Raises OSError."""
    first, last = entries[0].seq or 0, entries[-1].seq or 0
    name = f"log-{first:010d}-{last:010d}.seg"
    data = header_line(KIND, 1, first - 1) + b"".join(map(entry_line, entries))
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


def segment_path(disk: Disk, folder: Path, name: str) -> Path:
    """Where a segment lies: one that only the generation before lists is among the previous files."""
    path = folder / name
    return path if disk.exists(path) else folder / PREVIOUS / name


def segment_bytes(disk: Disk, folder: Path, segment: Segment) -> bytes:
    """A segment's bytes, checked against its summary. Raises Damaged, OSError."""
    try:
        data = disk.read(segment_path(disk, folder, segment.name))
    except FileNotFoundError:
        raise Damaged("is missing") from None
    if not data:
        raise Damaged("is empty")
    read_header(data, KIND)
    if len(data) != segment.size or crc32(data) != segment.crc:
        raise Damaged("does not fit its checksum")
    return data


def segment_entries(disk: Disk, folder: Path, segment: Segment) -> list[LogEntry]:
    """All entries of a segment, oldest first. Raises Damaged, OSError."""
    return list(_decoded(segment_bytes(disk, folder, segment)))


def _decoded(data: bytes) -> Iterator[LogEntry]:
    for text, _ in read_lines(data, data.index(b"\n") + 1):
        yield decoded(text, entry_decoder)


def matches(entry: LogEntry, query: EntryQuery) -> bool:
    """Whether an entry is one that the query asks for, leaving the page aside."""
    return (
        all(getattr(entry, name, None) == value for name, value in query.equals)
        and (query.since is None or entry.received_at >= query.since)
        and (query.until is None or entry.received_at < query.until)
        and (query.after is None or entry.id < query.after)
    )


def may_match(segment: Segment, query: EntryQuery) -> bool:
    """Whether the summary leaves it open that the segment has something for the query."""
    return (
        (query.since is None or segment.high_at >= query.since)
        and (query.until is None or segment.low_at < query.until)
        and (query.after is None or segment.low_id < query.after)
    )


def search_segment(disk: Disk, folder: Path, segment: Segment, query: EntryQuery) -> list[LogEntry]:
    """A segment's entries that match. Looks for the values in the raw bytes first. Raises Damaged, OSError."""
    data = segment_bytes(disk, folder, segment)
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
    """Put the newest entries into segments; a short last segment is written anew under another name."""
    if not tail:
        return segments
    kept, entries = segments, list(tail)
    if kept and kept[-1].count < FULL:
        entries = segment_entries(disk, folder, kept[-1]) + entries
        kept = kept[:-1]
    made = [write_segment(disk, folder, entries[at : at + FULL]) for at in range(0, len(entries), FULL)]
    return (*kept, *made)


def retained(segments: tuple[Segment, ...], anchor: Head, oldest: str) -> tuple[tuple[Segment, ...], Head]:
    """Drop whole segments whose newest entry is from before ``oldest``; the last dropped hash is the anchor."""
    kept = list(segments)
    while len(kept) > 1 and kept[0].high_at < oldest:
        dropped = kept.pop(0)
        anchor = Head(dropped.last, dropped.last_hash)
    return tuple(kept), anchor

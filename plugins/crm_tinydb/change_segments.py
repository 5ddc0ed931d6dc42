"""Segments of the change log on disk: like those of the sync log, each written completely, and never changed.

The n-th line after the first is the n-th entry, so an entry is found by its place; a record's entries are found by
following each to the one before it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from pathlib import Path
from zlib import crc32

import msgspec

from crm_core.model.change_log import redacted
from crm_tinydb.change import LoggedChange, encode, entry_texts
from crm_tinydb.change_blocks import Blocks
from crm_tinydb.disk import Disk, write_file
from crm_tinydb.framing import decoded, framed, header_line
from crm_tinydb.segments import CHANGES, FULL, StoredSegment, damage_of, segment_bytes, segment_path

FULL_BYTES = 4 << 20  # of a segment, unless a single entry is longer
READ_BYTES = 4 << 20  # of entries that one call returns, unless a single one is longer

decoder = msgspec.json.Decoder(LoggedChange)


class ChangeSegment(StoredSegment, frozen=True, kw_only=True):
    """A segment's summary. ``newest_at``: the time of its last entry."""

    KIND = CHANGES

    newest_at: str


def write_change_segment(
    disk: Disk, folder: Path, lines: Sequence[bytes], first: int, generation: int
) -> ChangeSegment:
    """Write entries, from the place ``first`` on, as a segment. Raises OSError."""
    last = first + len(lines) - 1
    name = f"changes-{first:010d}-{last:010d}-{generation:08d}.seg"  # an erase writes the same entries again
    data = header_line(CHANGES, generation, first - 1) + b"".join(map(framed, lines))
    write_file(disk, folder / name, data)
    newest_at = decoder.decode(lines[-1]).entry.at
    return ChangeSegment(name=name, first=first, last=last, size=len(data), crc=crc32(data), newest_at=newest_at)


class SegmentReader:
    """Reads entries by their places; keeps the lines of the segment that it read last. Its methods use the disk.

    ``blocks``: of segments that were read in part before, by name. They raise OSError, and SegmentDamaged.
    """

    def __init__(
        self, disk: Disk, folder: Path, segments: Sequence[ChangeSegment], blocks: dict[str, Blocks] | None = None
    ) -> None:
        self._disk, self._folder, self._segments = disk, folder, segments
        self._blocks = {} if blocks is None else blocks
        self._lasts = [segment.last for segment in segments]
        self._lines: list[bytes] = []
        self._read: ChangeSegment | None = None

    def segment_of(self, place: int) -> ChangeSegment:
        """The segment with a place, which must be in one."""
        return self._segments[bisect_left(self._lasts, place)]

    def texts(self, segment: ChangeSegment) -> list[bytes]:
        """The encoded entries of a segment."""
        if self._read is not segment:
            data = segment_bytes(self._disk, self._folder, segment)
            self._lines = [line[9:] for line in data.split(b"\n")[1:-1]]
            self._read = segment
        return self._lines

    def entry(self, place: int) -> LoggedChange:
        """The entry at a place."""
        segment = self.segment_of(place)
        with damage_of(segment):
            return decoded(self.texts(segment)[place - segment.first], decoder)

    def after(self, place: int, limit: int) -> list[bytes]:
        """Up to ``limit`` entries after a place, no more than its segment has."""
        segment = self.segment_of(place + 1)
        blocks = self._blocks.get(segment.name)
        if blocks is None:
            data = segment_bytes(self._disk, self._folder, segment)
            blocks = self._blocks[segment.name] = Blocks.of(data)
        with damage_of(segment):
            path = segment_path(self._disk, self._folder, segment.name)
            lines = blocks.lines(self._disk, path, place + 1 - segment.first, limit)
            return entry_texts(lines)

    def back(self, place: int, limit: int) -> list[LoggedChange]:
        """A record's entries from a place on, followed back, newest first."""
        found, size = list[LoggedChange](), 0
        while place >= self._segments[0].first and len(found) < limit and size < READ_BYTES:
            found.append(self.entry(place))
            place, size = found[-1].previous, size + len(encode(found[-1]))
        return found

    def all_texts(self) -> Iterator[bytes]:
        """Every entry, encoded, oldest first."""
        for segment in self._segments:
            yield from self.texts(segment)


def fold_changes(
    disk: Disk, folder: Path, segments: tuple[ChangeSegment, ...], tail: Sequence[bytes], generation: int
) -> tuple[ChangeSegment, ...]:
    """Write the newest entries to segments; a short last segment is rewritten with those that follow."""
    if not tail:
        return segments
    remaining, lines = segments, list(tail)
    first = remaining[-1].last + 1 if remaining else decoder.decode(tail[0]).place
    if remaining and remaining[-1].count < FULL and remaining[-1].size < FULL_BYTES:
        short = remaining[-1]
        lines = list(SegmentReader(disk, folder, (short,)).all_texts()) + lines
        first, remaining = short.first, remaining[:-1]
    written = []
    while lines:
        count = _fitting(lines)
        written.append(write_change_segment(disk, folder, lines[:count], first, generation))
        first, lines = first + count, lines[count:]
    return (*remaining, *written)


def _fitting(lines: Sequence[bytes]) -> int:
    size = 0
    for count, line in enumerate(lines[:FULL]):
        size += len(line)
        if count and size > FULL_BYTES:
            return count
    return min(len(lines), FULL)


def redact_erased(
    disk: Disk, folder: Path, segments: tuple[ChangeSegment, ...], erased: Mapping[str, int], generation: int
) -> tuple[ChangeSegment, ...]:
    """Write the segments with entries of erased records again, without what these entries said."""
    reader = SegmentReader(disk, folder, segments)
    oldest = segments[0].first if segments else 0
    places = [-place for place in erased.values()]  # the newest first: each segment is read once
    heapify(places)
    redactions: dict[ChangeSegment, dict[int, bytes]] = {}
    erasing = set(erased.values())
    while places:
        place = -heappop(places)
        if place < oldest:
            break
        logged = reader.entry(place)
        heappush(places, -logged.previous)
        if place not in erasing:
            clean = msgspec.structs.replace(logged, entry=redacted(logged.entry))
            redactions.setdefault(reader.segment_of(place), {})[place] = encode(clean)
    rewritten = []
    for segment in segments:
        if segment in redactions:
            lines = list(reader.texts(segment))
            for place, text in redactions[segment].items():
                lines[place - segment.first] = text
            segment = write_change_segment(disk, folder, lines, segment.first, generation)  # noqa: PLW2901 -- replaced
        rewritten.append(segment)
    return tuple(rewritten)


def retained_changes(segments: tuple[ChangeSegment, ...], oldest: str) -> tuple[ChangeSegment, ...]:
    """The segments without the first ones that are older than ``oldest`` as a whole."""
    remaining = list(segments)
    while len(remaining) > 1 and remaining[0].newest_at < oldest:
        remaining.pop(0)
    return tuple(remaining)

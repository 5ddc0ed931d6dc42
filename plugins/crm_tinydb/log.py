"""A tenant's log: the newest chained entries in memory, older ones in segments, and the ring."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from pathlib import Path
from typing import get_args

import msgspec

from crm_core.model.log import ACCEPTED, Head, LogEntry, Status
from crm_core.plugin.query import ChainReport, ChainWalk, EntryQuery, KeyUse, Tally
from crm_tinydb.change import decoder
from crm_tinydb.disk import Disk
from crm_tinydb.framing import Damaged, decoded, read_header, read_lines
from crm_tinydb.ring import Ring
from crm_tinydb.segments import (
    Segment,
    SegmentDamaged,
    add_use,
    key_uses,
    matches,
    may_match,
    search_segment,
    segment_entries,
)

OnDamage = Callable[[SegmentDamaged], None]


class Log:
    """The log now."""

    def __init__(self, segments: tuple[Segment, ...], anchor: Head, ring: Ring) -> None:
        self.segments, self.anchor, self.ring = segments, anchor, ring
        self.tail: list[LogEntry] = []

    def drop_folded(self, segments: tuple[Segment, ...], anchor: Head) -> None:
        """Drop from memory the entries that are in segments now."""
        self.segments, self.anchor = segments, anchor
        last = segments[-1].last if segments else anchor.seq
        self.tail = [entry for entry in self.tail if (entry.seq or 0) > last]

    def view(self, disk: Disk, folder: Path) -> LogView:
        """The log as of this moment."""
        return LogView(disk, folder, self.segments, self.anchor, tuple(self.tail), tuple(self.ring.entries.values()))

    def newest(self, query: EntryQuery) -> tuple[list[LogEntry], list[Segment]]:
        """The entries in memory for a page and the segments that may have more, both newest first."""
        return _newest(query, self.tail, self.ring.entries.values(), self.segments)


def _newest(
    query: EntryQuery, tail: Iterable[LogEntry], ring: Iterable[LogEntry], segments: Iterable[Segment]
) -> tuple[list[LogEntry], list[Segment]]:
    found: list[LogEntry] = []
    if query.verified is not False:
        found += [entry for entry in tail if matches(entry, query)]
    if query.verified is not True:
        found += [entry for entry in ring if matches(entry, query)]
    page = nlargest(query.limit, found, key=_id)
    if query.verified is False:
        return page, []
    older = [segment for segment in segments if may_match(segment, query)]
    older.sort(key=lambda segment: segment.high_id, reverse=True)
    return page, older if may_change(page, older, query.limit) else []


def _id(entry: LogEntry) -> str:
    return entry.id


def may_change(page: list[LogEntry], older: list[Segment], limit: int) -> bool:
    """Whether the first of the older segments can change a page."""
    return bool(older) and (len(page) < limit or older[0].high_id > page[-1].id)


class LogView(msgspec.Struct, frozen=True):
    """A tenant's log at one moment, for a thread: its methods use the disk. They raise OSError."""

    disk: Disk
    folder: Path
    segments: tuple[Segment, ...]
    anchor: Head
    tail: tuple[LogEntry, ...]
    ring: tuple[LogEntry, ...]

    def find(self, query: EntryQuery, on_damage: OnDamage) -> tuple[LogEntry, ...]:
        """A page."""
        page, older = _newest(query, self.tail, self.ring, self.segments)
        return self.page(query, page, older, on_damage)

    def page(
        self, query: EntryQuery, page: list[LogEntry], older: list[Segment], on_damage: OnDamage
    ) -> tuple[LogEntry, ...]:
        """Complete a page from segments, reading as few as possible."""
        for at, segment in enumerate(older):
            if not may_change(page, older[at:], query.limit):
                break
            try:
                found = search_segment(self.disk, self.folder, segment, query)
            except SegmentDamaged as error:
                on_damage(error)
            else:
                page = nlargest(query.limit, page + found, key=_id)
        return tuple(page)

    def tally(self, since: str, on_damage: OnDamage) -> Tally:
        """Counts over the retained log; reads only segments with entries before and after ``since``."""
        statuses = dict.fromkeys(get_args(Status), 0)
        keys: dict[int, KeyUse] = {}
        recent = [entry for entry in self.tail if entry.received_at >= since]
        for segment in self.segments:
            for version, use in segment.keys.items():
                add_use(keys, version, use)
            if segment.low_at >= since:
                for status, count in segment.statuses.items():
                    statuses[status] += count
            elif segment.high_at >= since:
                try:
                    entries = segment_entries(self.disk, self.folder, segment)
                except SegmentDamaged as error:
                    on_damage(error)
                else:
                    recent += [entry for entry in entries if entry.received_at >= since]
        for entry in recent:
            statuses[entry.status] += entry.count
        statuses["unverified"] = 0
        for entry in self.ring:
            if entry.received_at >= since and entry.status not in ACCEPTED:  # else a repeat, which counts once
                failed = entry.status == "failed" and entry.signature_result == "valid"
                statuses["failed" if failed else "unverified"] += entry.count
        return Tally(statuses, key_uses(self.tail, keys))

    def verify(self, journals: list[Path], newest: Head, wanted: Head | None) -> ChainReport:
        """Check the chain on disk link by link; ``newest`` is its end according to the store."""
        walk = ChainWalk(self.anchor, wanted)
        for entry in self._on_disk(journals, walk.problems):
            if (entry.seq or 0) > newest.seq:  # added during the walk
                break
            walk.add(entry.seq or 0, entry)
        return walk.report(newest)

    def _on_disk(self, journals: list[Path], problems: list[str]) -> Iterator[LogEntry]:
        last = 0
        for segment in self.segments:
            try:
                yield from segment_entries(self.disk, self.folder, segment)
            except SegmentDamaged as error:
                problems.append(f"{segment.name} {error.reason}")
            last = segment.last
        for path in journals:
            data = self.disk.read(path)
            try:
                _, start = read_header(data, "journal")
                for text, _ in read_lines(data, start):
                    change = decoded(text, decoder)
                    yield from (entry for entry in change.entries if (entry.seq or 0) > last)
            except Damaged as error:
                problems.append(f"{path.name} {error.reason}")

    def chained(self) -> Iterator[LogEntry]:
        """All retained chained entries, oldest first. Raises SegmentDamaged."""
        for segment in self.segments:
            yield from segment_entries(self.disk, self.folder, segment)
        yield from self.tail


def retention_start(now: int, days: int) -> str:
    """The time before which whole segments are dropped, in the form of received_at; empty if all are retained."""
    if days <= 0:
        return ""
    return (datetime.fromtimestamp(now, UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")

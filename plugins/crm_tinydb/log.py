"""A tenant's log: the newest chained entries in memory, older ones in segments, the ring beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from pathlib import Path

from crm_core.model.log import Head, LogEntry, is_intact
from crm_core.plugin.query import ChainReport, EntryQuery, KeyUse, Tally
from crm_tinydb.change import JournalEntry, decoder
from crm_tinydb.disk import Disk
from crm_tinydb.framing import Damaged, decoded, read_header, read_lines
from crm_tinydb.ring import Ring
from crm_tinydb.segments import (
    Segment,
    add_use,
    key_uses,
    matches,
    may_match,
    search_segment,
    segment_entries,
)

Told = Callable[[Segment, Damaged], None]


class Log:
    """The log as of now. Methods named ``read_*`` touch the disk and belong into a thread."""

    def __init__(self, segments: tuple[Segment, ...], anchor: Head, ring: Ring) -> None:
        self.segments, self.anchor, self.ring = segments, anchor, ring
        self.tail: list[LogEntry] = []

    def folded(self, segments: tuple[Segment, ...], anchor: Head) -> None:
        """The entries up to the last segment lie on disk now."""
        self.segments, self.anchor = segments, anchor
        last = segments[-1].last if segments else anchor.seq
        self.tail = [entry for entry in self.tail if (entry.seq or 0) > last]

    def newest(self, query: EntryQuery) -> tuple[list[LogEntry], list[Segment]]:
        """What memory has for a page, newest first, and the segments that may have more, newest first."""
        found: list[LogEntry] = []
        if query.verified is not False:
            found += [entry for entry in self.tail if matches(entry, query)]
        if query.verified is not True:
            found += [entry for entry in self.ring.entries.values() if matches(entry, query)]
        page = nlargest(query.limit, found, key=_id)
        if query.verified is False:
            return page, []
        older = [segment for segment in self.segments if may_match(segment, query)]
        older.sort(key=lambda segment: segment.high_id, reverse=True)
        return page, older if needed(page, older, query.limit) else []


def _id(entry: LogEntry) -> str:
    return entry.id


def needed(page: list[LogEntry], older: list[Segment], limit: int) -> bool:
    """Whether the first of the older segments can still change a page."""
    return bool(older) and (len(page) < limit or older[0].high_id > page[-1].id)


def read_page(  # noqa: PLR0917 -- a thread gets plain values
    disk: Disk, folder: Path, query: EntryQuery, page: list[LogEntry], older: list[Segment], told: Told
) -> list[LogEntry]:
    """Complete a page from segments, reading no more of them than it takes. Raises OSError."""
    for at, segment in enumerate(older):
        if not needed(page, older[at:], query.limit):
            break
        try:
            page = nlargest(query.limit, page + search_segment(disk, folder, segment, query), key=_id)
        except Damaged as error:
            told(segment, error)
    return page


def read_tally(  # noqa: PLR0917 -- a thread gets plain values
    disk: Disk,
    folder: Path,
    segments: tuple[Segment, ...],
    tail: tuple[LogEntry, ...],
    ring: tuple[LogEntry, ...],
    since: str,
    told: Told,
) -> Tally:
    """Counts over the kept log; reads only the segments that ``since`` cuts through. Raises OSError."""
    statuses = {"applied": 0, "previewed": 0, "rejected": 0, "failed": 0}
    keys: dict[int, KeyUse] = {}
    recent = [entry for entry in tail if entry.received_at >= since]
    for segment in segments:
        for version, use in segment.keys.items():
            add_use(keys, version, use)
        if segment.low_at >= since:
            for status, count in segment.statuses.items():
                statuses[status] += count
        elif segment.high_at >= since:
            try:
                recent += [e for e in segment_entries(disk, folder, segment) if e.received_at >= since]
            except Damaged as error:
                told(segment, error)
    for entry in recent:
        statuses[entry.status] += entry.count
    statuses["unverified"] = sum(entry.count for entry in ring if entry.received_at >= since)
    return Tally(statuses, key_uses(tail, keys))


def oldest_kept(now: int, days: int) -> str:
    """The moment before which whole segments go, in the form of received_at; empty where all is kept."""
    if days <= 0:
        return ""
    return (datetime.fromtimestamp(now, UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_chain(
    disk: Disk, folder: Path, segments: tuple[Segment, ...], journals: list[Path], problems: list[str]
) -> Iterator[LogEntry]:
    """Every kept link as it lies on disk, oldest first. Raises OSError."""
    last = 0
    for segment in segments:
        try:
            yield from segment_entries(disk, folder, segment)
        except Damaged as error:
            problems.append(f"{segment.name} {error.reason}")
        last = segment.last
    for path in journals:
        data = disk.read(path)
        try:
            _, start = read_header(data, "journal")
            for text, _ in read_lines(data, start):
                change: JournalEntry = decoded(text, decoder)
                yield from (entry for entry in change.entries if (entry.seq or 0) > last)
        except Damaged as error:
            problems.append(f"{path.name} {error.reason}")


def walked(
    chain: Iterator[LogEntry], anchor: Head, newest: Head, asked: Head | None, problems: list[str]
) -> ChainReport:
    """Check the links one by one; ``newest`` is where the store says the chain ends."""
    head, count = anchor, 0
    met = asked is None or asked == anchor or asked == Head()
    for entry in chain:
        if (entry.seq or 0) > newest.seq:  # came in while the walk was under way
            break
        count += 1
        if entry.seq != head.seq + 1:
            problems.append(f"entry {entry.seq} follows entry {head.seq}: entries are missing or out of order")
        elif entry.prev_hash != head.hash:
            problems.append(f"entry {entry.seq} does not continue the hash of entry {head.seq}")
        if not is_intact(entry):
            problems.append(f"entry {entry.seq} was changed: its hash is not the hash of what it says")
        head = Head(entry.seq or 0, entry.entry_hash or "")
        met = met or head == asked
    if head != newest:
        problems.append(f"the chain ends with entry {head.seq}, the store's newest is {newest.seq}")
    if not met and asked is not None:
        dropped = " (it lies before the oldest entry kept)" if asked.seq < anchor.seq else ""
        problems.append(f"entry {asked.seq} with the given hash is not in the chain{dropped}")
    return ChainReport(anchor, head, count, tuple(problems))

"""Open a tenant's folder: the newest generation that can be trusted and the journals after it.

Damaged files are never deleted, overwritten or skipped silently: they are moved aside, a marker is written, and the
tenant stays read-only until an admin removes the marker.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TypeVar

from crm_core.model.log import Head, LogEntry
from crm_core.plugin.storage import Reindex
from crm_tinydb.change_log import ChangeLog
from crm_tinydb.disk import Disk, drop, write_file
from crm_tinydb.folded import Folded, FoldedSummary, read_folded, store_name
from crm_tinydb.formats import IDENTITY, IDENTITY_TEXT, refuse_newer
from crm_tinydb.framing import Damaged, header_line, read_header
from crm_tinydb.journal import KIND, Journal, journal_name, replay
from crm_tinydb.log import Log
from crm_tinydb.ring import NAME as RING
from crm_tinydb.ring import Ring
from crm_tinydb.segments import PREVIOUS, StoredSegment, segment_bytes, segment_path
from crm_tinydb.state import State
from crm_tinydb.tidying import Earlier, journals, stores, tidy

MARKER = "quarantine"
CHECKED_AT_OPEN = 1 << 24  # bytes of the newest segments checked at open; the others are checked when read

S = TypeVar("S", bound=StoredSegment)

_STORE = re.compile(r"store-\d{8}\.json")
_UNFINISHED = re.compile(
    r"(?:store|journal|log|changes|unverified|identity|quarantine|probe|erasing)\b.*\.new"
)  # killed while written


class Opened:
    """A tenant as read from its files."""

    def __init__(self, folder: Path, disk: Disk, bound: int, reindex: Reindex | None) -> None:
        self.folder, self.disk, self.reindex = folder, disk, reindex
        self.state = State(reindex)
        self.log = Log((), Head(), Ring(folder, bound))
        self.changes = ChangeLog((), 0)
        self.journal: Journal | None = None  # None: nothing can be trusted
        self.generation = self.folded = 0  # of the folded file, and its length
        self.unclean: FoldedSummary | None = None
        self.torn = 0
        self.failure: OSError | None = None  # of the repair of a torn journal: it must succeed before the next write
        self.reasons: list[str] = []
        self.has_marker = False

    def damaged(self, path: Path, why: str, good: bytes = b"") -> None:
        """Record a reason, write the marker, and move the file aside if it exists; ``good`` takes its place."""
        self.reasons.append(f"{path.name} {why}")
        with contextlib.suppress(OSError):  # if this fails the file stays, and is found again
            set_aside(self.disk, self.folder, self.reasons, path, good)

    def was_moved_aside(self, path: Path) -> bool:
        """Whether a missing file was moved aside as damaged, which was reported then.

        After an admin has removed the marker the tenant continues without it.
        """
        places = [place for place in (self.folder, self.folder / PREVIOUS) if self.disk.exists(place)]
        return any(name.startswith(f"{path.name}.damaged-") for place in places for name in self.disk.names(place))


def set_aside(disk: Disk, folder: Path, reasons: list[str], path: Path, good: bytes = b"") -> None:
    """Write the marker that keeps a tenant read-only, then move the file aside, if it exists. Raises OSError."""
    text = "\n".join([*reasons, "Remove this file to continue with what is left, or restore a backup."]) + "\n"
    write_file(disk, folder / MARKER, text.encode())
    if disk.exists(path):
        _move_aside(disk, path, good)


def _move_aside(disk: Disk, path: Path, good: bytes) -> None:
    """Rename a file that cannot be trusted to a free ``NAME.damaged-N``, and put its ``good`` part in its place.

    Raises OSError; then the file is where it was.
    """
    number = 1
    while disk.exists(aside := path.with_name(f"{path.name}.damaged-{number}")):
        number += 1
    if good:
        disk.link(path, aside)
        try:
            write_file(disk, path, good)
        except OSError:
            disk.replace(aside, path)  # does nothing if both are one file
            drop(disk, aside)
            raise
    else:
        disk.replace(path, aside)
    disk.sync_folder(path.parent)


def open_tenant(disk: Disk, folder: Path, bound: int, reindex: Reindex | None = None) -> Opened:
    """Read a tenant's files; damage is named in ``reasons``.

    Raises:
        OSError: The files cannot be read at all.
        NewerStore: A newer version wrote one of them. Nothing in the folder has been changed.
    """
    refuse_newer(disk, folder)
    for name in filter(_UNFINISHED.fullmatch, disk.names(folder)):
        drop(disk, folder / name)
    opened = Opened(folder, disk, bound, reindex)
    if disk.exists(folder / MARKER):
        text = disk.read(folder / MARKER).decode("utf-8", "replace")
        opened.reasons = text.splitlines()[:-1] or ["damage was found earlier"]
    _identity(opened)
    folded = _newest(opened)
    if folded is not None:
        opened.state = folded.state
        opened.generation, opened.folded = folded.summary.generation, folded.length
        opened.log = Log(folded.summary.segments, folded.summary.anchor, opened.log.ring)
        opened.log.segments = tuple(_whole(opened, opened.log.segments))
        _changes(opened, folded.summary)
        if folded.summary.sole and not opened.reasons:  # a crash may have left earlier generations
            done = tidy(disk, folder, folded.summary, Earlier(folded.summary.generation))
            opened.unclean = None if done else folded.summary
    _journals(opened, whole=folded is not None)
    _ring(opened)
    if opened.journal is None and not opened.reasons:
        opened.reasons.append("nothing in its folder can be read; restore a backup")
    opened.has_marker = disk.exists(folder / MARKER)
    return opened


def _identity(opened: Opened) -> None:
    path = opened.folder / IDENTITY
    if not opened.disk.exists(path):
        if not opened.was_moved_aside(path):
            opened.damaged(path, "is missing")
        elif not opened.reasons:
            with contextlib.suppress(OSError):  # if this fails the next opening does it
                write_file(opened.disk, path, IDENTITY_TEXT)
    elif opened.disk.read(path) != IDENTITY_TEXT:
        opened.damaged(path, "is not what this version writes")


def _newest(opened: Opened) -> Folded | None:
    found = stores(opened.disk, opened.folder)
    if not any(path.parent == opened.folder for path in found.values()):
        names = opened.disk.names(opened.folder)
        if not any(_STORE.match(name) and ".damaged-" in name for name in names):  # moved aside, and reported then
            opened.damaged(opened.folder / store_name(max(found, default=0)), "is missing")
    for generation in sorted(found, reverse=True):
        try:
            folded = read_folded(opened.disk.read(found[generation]), opened.reindex)
            if folded.summary.generation != generation:
                raise Damaged(f"is of generation {folded.summary.generation}")  # noqa: TRY301 -- reported like other damage
            return folded
        except Damaged as error:
            opened.damaged(found[generation], error.reason)
    return None


def _whole(opened: Opened, segments: tuple[S, ...]) -> list[S]:
    """The segments that are there, the damaged ones reported; the newest are read, the others only measured."""
    found, budget = [], CHECKED_AT_OPEN
    for segment in reversed(segments):
        path = segment_path(opened.disk, opened.folder, segment.name)
        missing = not opened.disk.exists(path)
        if missing and opened.was_moved_aside(opened.folder / segment.name):
            continue
        found.append(segment)
        try:
            if missing:
                raise Damaged("is missing")  # noqa: TRY301 -- reported like other damage
            if budget > 0:
                segment_bytes(opened.disk, opened.folder, segment)
            elif opened.disk.size(path) != segment.size:
                raise Damaged("does not have its length")  # noqa: TRY301 -- reported like other damage
            budget -= segment.size
        except Damaged as error:
            if not any(segment.name in reason for reason in opened.reasons):
                opened.damaged(path, error.reason)
    return found[::-1]


def _changes(opened: Opened, summary: FoldedSummary) -> None:
    """The change log as far back as it has no gap: after an accepted loss, what was before it is out of reach."""
    whole = _whole(opened, summary.change_segments)
    place = summary.place
    connected = []
    for segment in reversed(whole):
        if segment.last != place:
            break
        connected.append(segment)
        place = segment.first - 1
    opened.changes = ChangeLog(tuple(reversed(connected)), place)


def _journals(opened: Opened, *, whole: bool) -> None:
    found = journals(opened.disk, opened.folder)
    generation = opened.generation
    if not whole:
        first = min(found, default=0)
        if not _from_the_start(opened, found.get(first)):
            return
        generation = opened.generation = first
    newest = max([*found, generation])
    while generation <= newest:
        path = found.get(generation, opened.folder / journal_name(generation))
        if not _journal(opened, path, generation, last=generation == newest):
            for later in range(generation + 1, newest + 1):
                if later in found:
                    opened.damaged(found[later], f"follows {path.name}, which is damaged")
            return
        generation += 1


def _from_the_start(opened: Opened, path: Path | None) -> bool:
    """Whether a journal has everything since the tenant was created."""
    try:
        return path is not None and read_header(opened.disk.read(path), KIND)[0].base == 0
    except Damaged:
        return False


def _journal(opened: Opened, path: Path, generation: int, *, last: bool) -> bool:
    state, disk = opened.state, opened.disk
    base, entries = state.seq, list[LogEntry]()
    data = b""
    whole = True
    if opened.was_moved_aside(path):
        _lose_epoch(state)
    if not disk.exists(path) and opened.was_moved_aside(path) and not opened.reasons:
        data = header_line(KIND, generation, base)
        try:
            write_file(disk, path, data)
        except OSError as error:  # a full disk, as a rule: reading works without it
            opened.failure = error
    try:
        if not data and not disk.exists(path):
            raise Damaged("is missing")  # noqa: TRY301 -- reported like other damage
        data = data or disk.read(path)
        good = replay(data, state, entries, opened.changes.tail)
        if last and good < len(data):
            opened.torn += 1
            if not opened.reasons:
                try:
                    write_file(disk, path, data[:good])
                except OSError as error:  # a full disk, as a rule: reading works without it
                    opened.failure = error
    except Damaged as error:
        whole, good = False, error.good
        _lose_epoch(state)
        if disk.exists(path) or not opened.was_moved_aside(path):
            opened.damaged(path, error.reason, data[:good])
    folded = opened.log.segments[-1].last if opened.log.segments else opened.log.anchor.seq
    opened.log.tail += [entry for entry in entries if (entry.seq or 0) > folded]
    opened.journal = Journal(disk, path, generation, base, good, torn=opened.failure is not None)
    return whole


def _lose_epoch(state: State) -> None:
    """Give the change log another epoch: units may be lost, whose places later entries get."""
    state.epoch, state.stored_epoch = "", False


def _ring(opened: Opened) -> None:
    path = opened.folder / RING
    if not opened.disk.exists(path):
        return
    data = opened.disk.read(path)
    try:
        good = opened.log.ring.load(data)
    except Damaged as error:
        opened.damaged(path, error.reason)
        return
    if good < len(data) and not opened.reasons:
        opened.torn += 1
        try:
            write_file(opened.disk, path, data[:good])
        except OSError:
            opened.log.ring.torn = True

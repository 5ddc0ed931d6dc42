"""Making, copying and moving tenants' folders; nothing is there until it is there whole."""

from __future__ import annotations

from pathlib import Path

from crm_core.errors import SetupError
from crm_core.model.log import Head, LogEntry, is_intact
from crm_tinydb.disk import Disk, drop, write_file
from crm_tinydb.folded import Folded, Snapshot, read_folded, snapshot, store_name, summary_of, tables, write_folded
from crm_tinydb.folding import breathe
from crm_tinydb.formats import IDENTITY, IDENTITY_TEXT
from crm_tinydb.framing import Damaged, NewerFormat, header_line
from crm_tinydb.journal import KIND, journal_name
from crm_tinydb.ring import KIND as RING_KIND
from crm_tinydb.ring import NAME as RING
from crm_tinydb.segments import Segment, entry_line, fold_entries, segment_entries
from crm_tinydb.state import State


def _nothing() -> None:
    """Nobody else waits for this thread."""


def create(disk: Disk, home: Path, name: str) -> None:
    """Lay out the files of an empty tenant. Raises OSError."""
    _lay_out(disk, home, name, Folded(summary_of(snapshot(State()), 1, Head(), ()), State()))


def fresh_name(name: str) -> str:
    """The hidden name under which a tenant's folder is laid out, until it is moved to its own."""
    return f".new-{name}"


def _lay_out(disk: Disk, home: Path, name: str, content: Folded) -> None:
    fresh = home / fresh_name(name)
    discard(disk, fresh)
    disk.make_folder(fresh)
    segments = fold_entries(disk, fresh, (), content.log)
    frozen = snapshot(content.state)
    summary = summary_of(frozen, 1, content.summary.anchor, segments)
    write_folded(disk, fresh / store_name(1), tables(summary, frozen), _nothing)
    write_file(disk, fresh / journal_name(1), header_line(KIND, 1, content.state.seq))
    if content.ring:
        write_file(disk, fresh / RING, header_line(RING_KIND, 1) + b"".join(map(entry_line, content.ring)))
    write_file(disk, fresh / IDENTITY, IDENTITY_TEXT)


def discard(disk: Disk, folder: Path) -> None:
    """Remove what an unfinished creation left behind. Raises OSError."""
    if disk.exists(folder):
        for name in disk.names(folder):
            disk.remove(folder / name)
        disk.remove_folder(folder)


def backup(  # noqa: PLR0917 -- a thread gets plain values
    disk: Disk,
    folder: Path,
    target: Path,
    frozen: Snapshot,
    anchor: Head,
    segments: tuple[Segment, ...],
    tail: tuple[LogEntry, ...],
    ring: tuple[LogEntry, ...],
) -> None:
    """Write one file in the folded form, with the log and the ring as tables of their own. Raises SetupError."""
    if disk.exists(target):
        raise SetupError([f"{target} exists already: name a file that does not"])
    try:
        log = (entry for segment in segments for entry in segment_entries(disk, folder, segment))
        summary = summary_of(frozen, 1, anchor, ())
        write_folded(disk, target, tables(summary, frozen, ("_log", (*log, *tail)), ("_ring", ring)), breathe)
    except Damaged as error:
        drop(disk, target.with_name(target.name + ".new"))
        raise SetupError([f"a log segment {error.reason}: run crm doctor"]) from None
    except OSError as error:
        raise SetupError([f"{target} cannot be written: {error.strerror}"]) from None


def restore(disk: Disk, home: Path, name: str, source: Path) -> None:
    """Lay out the files of a tenant as a backup has them. Raises SetupError."""
    try:
        content = read_folded(disk.read(source))
        _check_log(content)
        _lay_out(disk, home, name, content)
    except NewerFormat as error:
        raise SetupError([f"{source} {error.reason}: restore it with the version that wrote it"]) from None
    except Damaged as error:
        raise SetupError([f"{source} is not a whole backup: it {error.reason}"]) from None
    except OSError as error:
        raise SetupError([f"{source} cannot be restored: {error.strerror}"]) from None


def _check_log(content: Folded) -> None:
    """Raise Damaged where the log was edited. A gap may be: of a lost segment that was accepted; verify names it."""
    head = content.summary.anchor
    for entry in content.log:
        seq = entry.seq or 0
        follows = seq == head.seq + 1 and entry.prev_hash == head.hash
        if not (follows or seq > head.seq + 1) or not is_intact(entry):
            raise Damaged(f"has a log whose chain breaks at entry {seq}")
        head = Head(seq, entry.entry_hash or "")
    if head != content.summary.head:
        raise Damaged("lacks the end of its log")


def move(disk: Disk, home: Path, old: str, new: str) -> None:
    """Give a folder another name. Raises OSError."""
    disk.replace(home / old, home / new)
    disk.sync_folder(home)

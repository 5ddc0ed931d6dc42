"""Find, create, back up, restore and move tenants' folders; none appears before it is complete."""

from __future__ import annotations

from contextlib import suppress
from errno import EROFS
from pathlib import Path

import msgspec

from crm_core.errors import SetupError
from crm_core.model.log import Head, is_intact
from crm_core.model.names import is_name
from crm_core.plugin.dump_file import is_dump, of_another_backend
from crm_tinydb.change_log import ChangeLogView
from crm_tinydb.change_segments import decoder as change_decoder
from crm_tinydb.change_segments import fold_changes
from crm_tinydb.disk import Disk, is_folder, write_file, write_new
from crm_tinydb.folded import (
    Folded,
    Snapshot,
    folded_chunks,
    read_folded,
    snapshot,
    store_name,
    summarized,
    write_folded,
)
from crm_tinydb.folding import pause
from crm_tinydb.formats import IDENTITY, IDENTITY_TEXT
from crm_tinydb.framing import Damaged, NewerFormat, header_line
from crm_tinydb.journal import KIND, journal_name
from crm_tinydb.log import LogView
from crm_tinydb.ring import KIND as RING_KIND
from crm_tinydb.ring import NAME as RING
from crm_tinydb.segments import PREVIOUS, SegmentDamaged, entry_line, fold_entries
from crm_tinydb.state import State

_FRESH = ".new-"


def _no_pause() -> None:
    """Do not pause: no one waits for this thread."""


def check_free(disk: Disk, tenants_dir: Path, name: str) -> None:
    """Raise SetupError unless a tenant can be made under a name."""
    if not is_name(name):
        raise SetupError([f"{name!r} cannot be a tenant's name: use a-z, 0-9 and inner hyphens, at most 63"])
    try:
        taken = disk.exists(tenants_dir / name)
    except OSError as error:
        raise SetupError([f"{tenants_dir} cannot be read: {error.strerror}"]) from None
    if taken:
        raise SetupError([f"tenant {name} exists already: choose another name, or move its folder away first"])


def create(disk: Disk, tenants_dir: Path, name: str, epoch: str) -> None:
    """Write the files of an empty tenant under its ``fresh_name``. Raises OSError."""
    write_tenant(disk, tenants_dir, name, Folded(summarized(State(), 1, Head()), State()), epoch)


def fresh_name(name: str) -> str:
    """The hidden name of a tenant's folder while its files are written."""
    return f"{_FRESH}{name}"


def write_tenant(disk: Disk, tenants_dir: Path, name: str, content: Folded, epoch: str) -> None:
    """Write the files of a tenant with this content under its ``fresh_name``. Raises OSError."""
    fresh = tenants_dir / fresh_name(name)
    discard(disk, fresh)
    disk.make_folder(fresh)
    segments = fold_entries(disk, fresh, (), content.log)
    changes = fold_changes(disk, fresh, (), content.changes, 1)
    content.state.epoch = epoch
    frozen = snapshot(content.state, summarized(content.state, 1, content.summary.anchor, segments, changes))
    write_folded(disk, fresh / store_name(1), frozen, pause=_no_pause)
    write_file(disk, fresh / journal_name(1), header_line(KIND, 1, content.state.seq))
    if content.ring:
        write_file(disk, fresh / RING, header_line(RING_KIND, 1) + b"".join(map(entry_line, content.ring)))
    write_file(disk, fresh / IDENTITY, IDENTITY_TEXT)


def found_tenants(disk: Disk, tenants_dir: Path) -> list[str]:
    """The names of all tenants. Leftovers of interrupted creations are removed if possible. Raises OSError."""
    disk.make_folder(tenants_dir)
    with suppress(OSError):  # the folder may be new, and the one above not ours to read
        disk.sync_folder(tenants_dir.parent)
    names = disk.names(tenants_dir)
    for name in names:
        if name.startswith(_FRESH):
            with suppress(OSError):  # it is in the way of no other tenant
                discard(disk, tenants_dir / name)
    return [name for name in names if is_name(name) and is_folder(disk, tenants_dir / name)]


def discard(disk: Disk, folder: Path) -> None:
    """Remove the folder of a tenant that no one uses. Raises OSError."""
    if disk.exists(folder):
        if disk.exists(folder / PREVIOUS):
            discard(disk, folder / PREVIOUS)
        for name in disk.names(folder):
            disk.remove(folder / name)
        disk.remove_folder(folder)


def backup(log: LogView, changes: ChangeLogView, frozen: Snapshot, target: Path) -> None:
    """Write one file in the folded form, with the tables ``_log``, ``_ring`` and ``_changes``. Raises SetupError."""
    try:
        if log.disk.exists(target):  # known before anything is written
            raise FileExistsError  # noqa: TRY301 -- reported like one that appears meanwhile
        tables = ("_log", log.chained()), ("_ring", log.ring), ("_changes", map(msgspec.Raw, changes.texts()))
        write_new(log.disk, target, folded_chunks(frozen, *tables, pause=pause))
        with suppress(OSError):  # the folder may be new, and the one above not ours to read
            log.disk.sync_folder(target.parent.parent)
    except FileExistsError:
        raise SetupError([f"{target} exists already: name a new file"]) from None
    except SegmentDamaged as error:
        raise SetupError([f"{error.segment.name} {error.reason}: run crm doctor"]) from None
    except OSError as error:
        confined = "; its unit or container must allow that to the server" if error.errno == EROFS else ""
        raise SetupError([f"{target} cannot be written: {error.strerror}{confined}"]) from None


def restore(disk: Disk, tenants_dir: Path, name: str, source: Path, epoch: str) -> None:
    """Write the files of a tenant from a backup under its ``fresh_name``. Raises SetupError."""
    try:
        text = disk.read(source)
        if is_dump(text):
            raise of_another_backend(source)
        content = read_folded(text)
        _check_log(content)
        _check_changes(content)
        write_tenant(disk, tenants_dir, name, content, epoch)
    except NewerFormat as error:
        raise SetupError([f"{source} {error.reason}: restore it with the version that wrote it"]) from None
    except Damaged as error:
        raise SetupError([f"{source} is not a whole backup: it {error.reason}"]) from None
    except OSError as error:
        problem = f"{source} cannot be restored: {error.strerror}"
        if isinstance(error, FileNotFoundError):  # the command has seen it
            problem += "; a server sees other folders (PrivateTmp, a container): put it into one that both see"
        raise SetupError([problem]) from None


def _check_log(content: Folded) -> None:
    """Raise Damaged if the log was edited. A gap is allowed: an admin accepted it, and verify reports it."""
    head = content.summary.anchor
    for entry in content.log:
        seq = entry.seq or 0
        follows = seq == head.seq + 1 and entry.prev_hash == head.hash
        if not (follows or seq > head.seq + 1) or not is_intact(entry):
            raise Damaged(f"has a log whose chain breaks at entry {seq}")
        head = Head(seq, entry.entry_hash or "")
    if head != content.summary.head:
        raise Damaged("lacks the end of its log")


def _check_changes(content: Folded) -> None:
    """Raise Damaged unless the change log is without a gap up to its newest entry."""
    places = [change_decoder.decode(text).place for text in content.changes]
    newest = content.summary.place
    if places != list(range(newest - len(places) + 1, newest + 1)):
        raise Damaged("lacks entries of its change log")


def remove(disk: Disk, tenants_dir: Path, name: str) -> None:
    """Delete a tenant's folder, under a name that the next start deletes if this is interrupted. Raises OSError."""
    discard(disk, tenants_dir / fresh_name(name))
    move(disk, tenants_dir, name, fresh_name(name))
    discard(disk, tenants_dir / fresh_name(name))
    disk.sync_folder(tenants_dir)


def move(disk: Disk, tenants_dir: Path, old: str, new: str) -> None:
    """Rename a tenant's folder. Raises OSError."""
    disk.replace(tenants_dir / old, tenants_dir / new)
    disk.sync_folder(tenants_dir)

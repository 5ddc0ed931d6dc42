"""The journal: one line per unit, appended and synced before the unit is answered."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Sequence
from pathlib import Path

from crm_core.model.log import LogEntry
from crm_tinydb.change import decoder
from crm_tinydb.disk import NO_SPACE, Disk, drop, write_all, write_file
from crm_tinydb.framing import Damaged, decoded, framed, header_line, read_header, read_lines
from crm_tinydb.state import State

KIND = "journal"
PROBE = "probe.new"  # written and removed to test for free space
PROBE_BYTES = 1 << 16
LACKING = "the journal lacks answered changes"


def journal_name(generation: int) -> str:
    """The file name of a generation's journal."""
    return f"journal-{generation:08d}.log"


class Journal:
    """The journal being written. ``length``: its durable bytes."""

    def __init__(self, disk: Disk, path: Path, generation: int, base: int, length: int, *, torn: bool = False) -> None:
        self.disk, self.path = disk, path
        self.generation, self.base, self.length = generation, base, length
        self._handle: int | None = None
        self._suspect = torn  # after a failed write the content on disk is unknown

    @classmethod
    def create(cls, disk: Disk, folder: Path, generation: int, base: int) -> Journal:
        """Begin a generation. Raises OSError, after removing the file if possible."""
        path = folder / journal_name(generation)
        header = header_line(KIND, generation, base)
        try:
            write_file(disk, path, header)
        except OSError:
            drop(disk, path)
            raise
        return cls(disk, path, generation, base, len(header))

    def append(self, texts: Sequence[bytes]) -> None:
        """Make units durable, a line each. Raises OSError; then the file needs ``repair`` before the next line."""
        data = b"".join(map(framed, texts))
        if self._handle is None:
            self._handle = self.disk.open(self.path, durable=True)
        try:
            write_all(self.disk, self._handle, data)
        except Exception as error:  # after any failure the lines are removed
            self._suspect |= not isinstance(error, OSError) or error.errno not in NO_SPACE
            # Refused lines must not reappear after a restart. If this fails too, repair() makes it certain.
            with contextlib.suppress(OSError):
                self.disk.truncate(self._handle, self.length)
                self.disk.sync(self._handle)
            raise
        self.length += len(data)

    def repair(self) -> None:
        """Cut the file to its durable part, and test that it can grow again. Raises OSError.

        If space was lacking, the durable part is intact and the rest is cut off. After any other failure the cached
        pages cannot be trusted, so the durable part is checked and copied to a new file.
        """
        self.close()
        after = self.path.with_name(journal_name(self.generation + 1))
        if self.disk.exists(after):  # left by a failed rotation
            self.disk.remove(after)
        self.disk.sync_folder(self.path.parent)  # or a power cut brings it back, and it does not follow later units
        probe(self.disk, self.path.with_name(PROBE))
        if self._suspect:
            write_file(self.disk, self.path, self._durable())
        else:
            self._cut()
        self._suspect = False

    def _cut(self) -> None:
        if self.disk.size(self.path) < self.length:  # to truncate a shorter file would fill it with zeros
            raise OSError(errno.EIO, LACKING)
        handle = self.disk.open(self.path)
        try:
            self.disk.truncate(handle, self.length)
            self.disk.sync(handle)
        finally:
            self.disk.close(handle)

    def _durable(self) -> bytes:
        """The durable part. That of a journal without lines is known: a full disk may have prevented its file."""
        header = header_line(KIND, self.generation, self.base)
        if self.length == len(header):
            return header
        data = self.disk.read(self.path)[: self.length]
        try:
            found, start = read_header(data, KIND)
            ends = [start, *(end for _, end in read_lines(data, start))]
        except Damaged as error:
            raise OSError(errno.EIO, LACKING) from error
        if (found.generation, found.base, ends[-1]) != (self.generation, self.base, self.length):
            raise OSError(errno.EIO, LACKING)
        return data

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            with contextlib.suppress(OSError):
                self.disk.close(handle)


def probe(disk: Disk, path: Path) -> None:
    """Test whether bytes can be made durable in a folder. Raises OSError."""
    handle = disk.open(path, create=True)
    try:
        write_all(disk, handle, bytes(PROBE_BYTES))
        disk.sync(handle)
    finally:
        disk.close(handle)
        drop(disk, path)


def replay(data: bytes, state: State, entries: list[LogEntry], changes: list[bytes]) -> int:
    """Apply a journal's lines, and append their entries of both logs to the lists; return the number of good bytes.

    Raises Damaged with ``good``.
    """
    header, end = read_header(data, KIND)
    if header.base != state.seq:
        raise Damaged(f"begins after unit {header.base}, the files before it end with unit {state.seq}")
    for text, after in read_lines(data, end):
        change = decoded(text, decoder, end)
        if change.seq != state.seq + 1:
            raise Damaged(f"jumps from unit {state.seq} to {change.seq}", end)
        state.apply(change)
        while not state.catch_up():
            continue
        entries += change.entries
        changes += map(bytes, change.changes)
        end = after
    return end

"""The journal: one line per unit, appended and synced before anybody is told that the unit is in."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from crm_tinydb.change import JournalEntry, decoder
from crm_tinydb.disk import Disk, drop, write_all, write_file
from crm_tinydb.framing import Damaged, decoded, header_line, read_header, read_lines
from crm_tinydb.state import State

KIND = "journal"
PROBE = "probe.new"  # written and removed to see whether there is space again
PROBE_BYTES = 1 << 16
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


def journal_name(generation: int) -> str:
    """The file name of a generation's journal."""
    return f"journal-{generation:08d}.log"


class Journal:
    """The journal that is being written. ``length`` is how much of it is durable."""

    def __init__(self, disk: Disk, path: Path, generation: int, base: int, length: int) -> None:
        self.disk, self.path = disk, path
        self.generation, self.base, self.length = generation, base, length
        self._handle: int | None = None
        self._suspect = False  # a write failed in a way that leaves open what the disk holds

    @classmethod
    def create(cls, disk: Disk, folder: Path, generation: int, base: int) -> Journal:
        """Begin a generation. Raises OSError; then the file is gone again where that was possible."""
        path = folder / journal_name(generation)
        header = header_line(KIND, generation, base)
        try:
            write_file(disk, path, header)
        except OSError:
            drop(disk, path)
            raise
        return cls(disk, path, generation, base, len(header))

    def append(self, data: bytes) -> None:
        """Make lines durable. Raises OSError; the file must then be mended before it is trusted again."""
        if self._handle is None:
            self._handle = self.disk.open(self.path, durable=True)
        try:
            write_all(self.disk, self._handle, data)
        except Exception as error:  # whatever failed, it is taken back
            self._suspect |= not isinstance(error, OSError) or error.errno not in NO_SPACE
            # What was refused must not come back after a restart. Best effort: mend() is what makes it certain.
            with contextlib.suppress(OSError):
                self.disk.truncate(self._handle, self.length)
            raise
        self.length += len(data)

    def mend(self) -> None:
        """Make the file end where its durable part ends, and see that it can grow again. Raises OSError.

        Where there was no space, nothing durable was touched: what came after it is cut off. After any other failure
        the pages of the file tell nothing, so the durable part goes into a new one.
        """
        self.close()
        after = self.path.with_name(journal_name(self.generation + 1))
        if self.disk.exists(after):  # left by a rotation that failed half-way
            self.disk.remove(after)
        probe(self.disk, self.path.with_name(PROBE))
        if self._suspect:
            write_file(self.disk, self.path, self.disk.read(self.path)[: self.length])
        else:
            handle = self.disk.open(self.path)
            try:
                self.disk.truncate(handle, self.length)
                self.disk.sync(handle)
            finally:
                self.disk.close(handle)
        if self.disk.size(self.path) != self.length:
            raise OSError(errno.EIO, "the journal is shorter than what was made durable")
        self._suspect = False

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            with contextlib.suppress(OSError):
                self.disk.close(handle)


def probe(disk: Disk, path: Path) -> None:
    """See whether bytes can be made durable in a folder. Raises OSError."""
    handle = disk.open(path, create=True)
    try:
        write_all(disk, handle, bytes(PROBE_BYTES))
        disk.sync(handle)
    finally:
        disk.close(handle)
        drop(disk, path)


def replay(data: bytes, state: State, entries: list[JournalEntry]) -> tuple[int, int]:
    """Apply a journal's lines; returns its base and how many bytes are good. Raises Damaged with ``good``.

    Changes that carry log entries are appended to ``entries``.
    """
    header, end = read_header(data, KIND)
    if header.base != state.seq:
        raise Damaged(f"begins after unit {header.base}, the files before it end with unit {state.seq}")
    for text, after in read_lines(data, end):
        try:
            change: JournalEntry = decoded(text, decoder)
        except Damaged as error:
            raise Damaged(error.reason, end) from None
        if change.seq != state.seq + 1:
            raise Damaged(f"jumps from unit {state.seq} to {change.seq}", end)
        state.apply(change)
        state.catch_up()
        if change.entries:
            entries.append(change)
        end = after
    return header.base, end

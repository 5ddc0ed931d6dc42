"""The ring of unverified attempts: bounded, outside the chain, readable immediately and written later."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from crm_core.model.log import LogEntry
from crm_tinydb.disk import NO_SPACE, Disk, write_all, write_file
from crm_tinydb.framing import decoded, header_line, read_header, read_lines
from crm_tinydb.segments import entry_decoder, entry_line

KIND = "ring"
NAME = "unverified.log"


class Ring:
    """The newest unverified attempts by id, oldest first."""

    def __init__(self, folder: Path, bound: int) -> None:
        self.path, self.bound = folder / NAME, bound
        self.entries: dict[str, LogEntry] = {}
        self._unwritten: dict[str, LogEntry] = {}
        self._lines = 0  # in the file
        self.torn = False  # whether the file may end in half a line, so that the next write replaces it

    def add(self, entry: LogEntry) -> None:
        """Add an attempt, replacing one with the same id and dropping the oldest beyond the bound."""
        bare = msgspec.structs.replace(entry, seq=None, prev_hash=None, entry_hash=None)
        for entries in (self.entries, self._unwritten):
            entries[entry.id] = bare
            if len(entries) > self.bound:
                del entries[next(iter(entries))]

    @property
    def dirty(self) -> bool:
        """Whether attempts are not on disk yet."""
        return bool(self._unwritten)

    def pending(self) -> tuple[LogEntry, ...]:
        """Remove and return the attempts that are not on disk yet."""
        unwritten, self._unwritten = self._unwritten, {}
        return tuple(unwritten.values())

    def requeue(self, pending: Iterable[LogEntry]) -> None:
        """Queue attempts again after a failed write."""
        self._unwritten = {entry.id: entry for entry in pending if entry.id in self.entries} | self._unwritten

    def write(self, disk: Disk, pending: tuple[LogEntry, ...], whole: tuple[LogEntry, ...]) -> None:
        """Write attempts; a file of twice the bound is rewritten from ``whole``. Raises OSError."""
        exists = disk.exists(self.path)
        if exists and not self.torn and self._lines + len(pending) <= 2 * self.bound + 100:
            handle = disk.open(self.path)
            try:
                length = disk.size(self.path)
                try:
                    write_all(disk, handle, b"".join(map(entry_line, pending)))
                    disk.sync(handle)
                except OSError as error:
                    self.torn = True  # until it is known to be cut
                    disk.truncate(handle, length)
                    self.torn = error.errno not in NO_SPACE  # after another failure the cached pages cannot be trusted
                    raise
            finally:
                disk.close(handle)
            self._lines += len(pending)
        else:
            write_file(disk, self.path, header_line(KIND, 1) + b"".join(map(entry_line, whole)))
            self._lines, self.torn = len(whole), False

    def load(self, data: bytes) -> int:
        """Load a file; return the number of good bytes. Raises Damaged after the good part."""
        _, end = read_header(data, KIND)
        for text, after in read_lines(data, end):
            entry = decoded(text, entry_decoder, end)
            self.entries[entry.id] = entry
            if len(self.entries) > self.bound:
                del self.entries[next(iter(self.entries))]
            self._lines += 1
            end = after
        return end

"""The ring of unverified attempts: bounded, beside the chain, readable at once and written behind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from crm_core.model.log import LogEntry
from crm_tinydb.disk import Disk, write_all, write_file
from crm_tinydb.framing import Damaged, decoded, header_line, read_header, read_lines
from crm_tinydb.segments import entry_decoder, entry_line

KIND = "ring"
NAME = "unverified.log"


class Ring:
    """The newest unverified attempts by id, oldest first."""

    def __init__(self, folder: Path, bound: int) -> None:
        self.path, self.bound = folder / NAME, bound
        self.entries: dict[str, LogEntry] = {}
        self._fresh: dict[str, LogEntry] = {}
        self._lines = 0  # in the file

    def add(self, entry: LogEntry) -> None:
        """Take an attempt; one with the same id is replaced, the oldest give way."""
        bare = msgspec.structs.replace(entry, seq=None, prev_hash=None, entry_hash=None)
        for held in (self.entries, self._fresh):
            held[entry.id] = bare
            if len(held) > self.bound:
                del held[next(iter(held))]

    @property
    def dirty(self) -> bool:
        """Whether something waits for the disk."""
        return bool(self._fresh)

    def pending(self) -> tuple[LogEntry, ...]:
        """Take what waits for the disk."""
        fresh, self._fresh = self._fresh, {}
        return tuple(fresh.values())

    def again(self, pending: Iterable[LogEntry]) -> None:
        """The disk refused: keep it for the next time."""
        self._fresh = {entry.id: entry for entry in pending if entry.id in self.entries} | self._fresh

    def write(self, disk: Disk, pending: tuple[LogEntry, ...], whole: tuple[LogEntry, ...]) -> None:
        """Bring attempts to the disk; a file of twice the bound is written anew from ``whole``. Raises OSError."""
        exists = disk.exists(self.path)
        if exists and self._lines + len(pending) <= 2 * self.bound + 100:
            handle = disk.open(self.path)
            try:
                length = disk.size(self.path)
                try:
                    write_all(disk, handle, b"".join(map(entry_line, pending)))
                    disk.sync(handle)
                except OSError:
                    disk.truncate(handle, length)
                    raise
            finally:
                disk.close(handle)
            self._lines += len(pending)
        else:
            write_file(disk, self.path, header_line(KIND, 1) + b"".join(map(entry_line, whole)))
            self._lines = len(whole)

    def load(self, data: bytes) -> int:
        """Take what a file holds; returns how many bytes are good. Raises Damaged after the good part."""
        _, end = read_header(data, KIND)
        for text, after in read_lines(data, end):
            try:
                entry: LogEntry = decoded(text, entry_decoder)
            except Damaged as error:
                raise Damaged(error.reason, end) from None
            self.entries[entry.id] = entry
            if len(self.entries) > self.bound:
                del self.entries[next(iter(self.entries))]
            self._lines += 1
            end = after
        return end

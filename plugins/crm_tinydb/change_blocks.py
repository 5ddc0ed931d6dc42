"""Where the entries of a change segment are in its file, so that a page of the feed does not read all of it."""

from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path
from zlib import crc32

import msgspec

from crm_tinydb.disk import Disk
from crm_tinydb.framing import Damaged

ENTRIES = 128  # of a block


class Blocks(msgspec.Struct, frozen=True):
    """The blocks of a segment's entries: where each starts and the last one ends, and the checksum of each."""

    offsets: tuple[int, ...]
    crcs: tuple[int, ...]

    @classmethod
    def of(cls, data: bytes) -> Blocks:
        """The blocks of an undamaged segment."""
        ends = list(accumulate(len(line) + 1 for line in data.split(b"\n")[:-1]))  # the first is the header's
        offsets = (*ends[:-1:ENTRIES], ends[-1])
        return cls(offsets, tuple(crc32(data[start:end]) for start, end in pairwise(offsets)))

    def lines(self, disk: Disk, path: Path, first: int, count: int) -> list[bytes]:
        """The lines of entries, by number from 0 on, as many as there are. Raises Damaged, OSError."""
        block, last = first // ENTRIES, min((first + count - 1) // ENTRIES + 1, len(self.crcs))
        base, *ends = self.offsets[block : last + 1]
        data = disk.read_part(path, base, ends[-1] - base)
        starts, view = (0, *(end - base for end in ends)), memoryview(data)
        if any(
            crc32(view[start:end]) != crc
            for (start, end), crc in zip(pairwise(starts), self.crcs[block:last], strict=True)
        ):
            raise Damaged("does not fit its checksum")
        skipped = first - block * ENTRIES
        return data.split(b"\n")[:-1][skipped : skipped + count]

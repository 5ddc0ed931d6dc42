"""A tenant's change log: the newest entries in memory, as written, older ones in segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from secrets import token_hex

import msgspec
from msgspec.structs import replace

from crm_core.model.change_log import redacted
from crm_core.plugin.query import ChangePage
from crm_tinydb.change import LoggedChange, encode, entry_texts
from crm_tinydb.change_blocks import Blocks
from crm_tinydb.change_segments import READ_BYTES, ChangeSegment, SegmentReader, decoder
from crm_tinydb.disk import Disk


def fresh_epoch() -> str:
    """A text that no change log had before."""
    return token_hex(8)


class ChangeLog:
    """The change log now. ``floor``: the place before the oldest retained entry; ``blocks``: of segments, by name."""

    def __init__(self, segments: tuple[ChangeSegment, ...], floor: int) -> None:
        self.segments, self._empty_floor = segments, floor
        self.tail: list[bytes] = []
        self.blocks: dict[str, Blocks] = {}

    @property
    def floor(self) -> int:
        """The place before the oldest retained entry."""
        return self.segments[0].first - 1 if self.segments else self._empty_floor

    @property
    def folded(self) -> int:
        """The place of the newest entry in a segment; the tail follows."""
        return self.segments[-1].last if self.segments else self._empty_floor

    def drop_folded(self, segments: tuple[ChangeSegment, ...]) -> None:
        """Drop from memory the entries that are in segments now."""
        before, self.segments = self.folded, segments
        del self.tail[: self.folded - before]
        self.blocks = {}

    def view(self, disk: Disk, folder: Path, erased: Mapping[str, int]) -> ChangeLogView:
        """The change log as of this moment."""
        return ChangeLogView(disk, folder, self.segments, tuple(self.tail), dict(erased))

    def after(self, place: int, limit: int) -> list[bytes]:
        """Up to ``limit`` entries after a place that is at the tail's start or in it."""
        found, size = list[bytes](), 0
        for text in islice(self.tail, place - self.folded, place - self.folded + limit):
            size += len(text)
            if found and size > READ_BYTES:
                break
            found.append(text)
        return entry_texts(found)

    def back(self, place: int, limit: int) -> list[LoggedChange]:
        """A record's entries in the tail, from a place on, followed back, newest first."""
        found, size = list[LoggedChange](), 0
        while self.folded < place and len(found) < limit and size < READ_BYTES:
            text = self.tail[place - self.folded - 1]
            found.append(decoder.decode(text))
            place, size = found[-1].previous, size + len(text)
        return found


class ChangeLogView(msgspec.Struct, frozen=True):
    """A tenant's change log at one moment, for a thread."""

    disk: Disk
    folder: Path
    segments: tuple[ChangeSegment, ...]
    tail: tuple[bytes, ...]
    erased: Mapping[str, int]

    def texts(self) -> Iterator[bytes]:
        """Every retained entry, encoded, oldest first, without what erased records said. Raises as SegmentReader."""
        for text in SegmentReader(self.disk, self.folder, self.segments).all_texts():
            yield self._clean(text)
        yield from map(self._clean, self.tail)

    def _clean(self, text: bytes) -> bytes:
        logged = decoder.decode(text) if self.erased else None
        if logged is None or logged.place >= self.erased.get(logged.entry.id, 0):
            return text
        return encode(msgspec.structs.replace(logged, entry=redacted(logged.entry)))


def shown(page: ChangePage, erased: Mapping[str, int]) -> ChangePage:
    """Entries as a reader gets them."""
    if not erased:
        return page
    texts = [
        encode(redacted(each.entry)) if each.place < erased.get(each.entry.id, 0) else text
        for each, text in zip(page.entries or (), page.texts or (), strict=True)
    ]
    return replace(page, texts=tuple(texts))

"""Checksummed lines: eight hex digits of CRC-32, a space, one JSON value, LF.

Files that grow (journal, ring, log segments) consist of them. The first is a header with the kind of file, its format
and its generation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar
from zlib import crc32

import msgspec

FORMAT = 1
BATCH = 4 << 20  # bytes that one sync carries at most, unless a single line is longer
LINE = 10  # bytes of a line besides its text
SECTOR = 512  # bytes that a disk writes whole or not at all
T = TypeVar("T")


class Damaged(Exception):
    """A file that cannot be trusted; ``reason`` is a clause that follows its name."""

    def __init__(self, reason: str, good: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.good = good  # bytes from the start that can be trusted


class NewerFormat(Damaged):
    """A file of a newer version, which is not damaged: opening a tenant refuses it before it changes anything."""

    def __init__(self, number: int) -> None:
        super().__init__(f"has format {number}, this version reads format {FORMAT}")


class Header(msgspec.Struct, frozen=True):
    """The first line of a file. ``base``: the seq of the unit or entry before the file's first."""

    kind: str
    format: int
    generation: int
    base: int = 0


_header_decoder = msgspec.json.Decoder(Header)


def framed(text: bytes) -> bytes:
    """A JSON text without line feeds as a checksummed line."""
    return b"%08x %b\n" % (crc32(text), text)


def header_line(kind: str, generation: int, base: int = 0) -> bytes:
    """The first line of a file of this format."""
    return framed(msgspec.json.encode(Header(kind, FORMAT, generation, base)))


def unframed(line: bytes) -> bytes | None:
    """The JSON text of a line without its LF, or None if the checksum does not fit."""
    if len(line) < LINE or line[8:9] != b" ":
        return None
    text = line[9:]
    return text if b"%08x" % crc32(text) == line[:8] else None


def check_format(number: object) -> None:
    """Raise NewerFormat for a format above this version's, Damaged for one that no version wrote."""
    if isinstance(number, int) and number > FORMAT:
        raise NewerFormat(number)
    if number != FORMAT:
        raise Damaged(f"has format {number}, which no version wrote")


def read_header(data: bytes, kind: str) -> tuple[Header, int]:
    """The header and the start of the next line. Raises Damaged."""
    if not data:
        raise Damaged("is empty")
    end = data.find(b"\n")
    text = unframed(data[:end]) if end >= 0 else None
    if text is None:
        raise Damaged("has no readable first line")
    try:
        header = _header_decoder.decode(text)
    except msgspec.MsgspecError:
        raise Damaged("has a first line of another kind") from None
    check_format(header.format)
    if header.kind != kind:
        raise Damaged(f"is a {header.kind}, not a {kind}")
    return header, end + 1


def read_lines(data: bytes, start: int) -> Iterator[tuple[bytes, int]]:
    """Each line's text and end. Stops before an unfinished last line; raises Damaged at any other defect."""
    while start < len(data):
        end = data.find(b"\n", start)
        if end < 0:
            if b"\0" in data[start:]:
                if _is_unwritten(data, start):
                    return
                raise Damaged("has zeros where its end should be", start)
            if unframed(data[start:-1]) is None:
                return  # a crash cuts a line short; it does not replace its LF
        text = unframed(data[start:end]) if end >= 0 else None
        if text is None:
            raise Damaged(f"has a line that does not fit its checksum at byte {start}", start)
        start = end + 1
        yield text, start


def _is_unwritten(data: bytes, start: int) -> bool:
    """Whether the last line and the zeros after it are what a power cut leaves of a batch that was not yet durable.

    A file system may have stored the file's new length and only some of the new sectors: then zeros reach to the end,
    and begin where the batch did, which is a line's start, or at a sector. Zeros anywhere else, or of more than a
    batch, were something else before.
    """
    zeros = start + len(data[start:].rstrip(b"\0"))
    return b"\0" not in data[start:zeros] and (zeros == start or not zeros % SECTOR) and len(data) - start <= BATCH


def decoded(text: bytes, decoder: msgspec.json.Decoder[T], good: int = 0) -> T:
    """The value of a line, before which ``good`` bytes can be trusted. Raises Damaged."""
    try:
        return decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise Damaged(f"has a line that cannot be understood ({error})", good) from None

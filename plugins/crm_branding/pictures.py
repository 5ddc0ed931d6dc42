"""Validate pictures in data: URLs: their size, and that they are of the declared kind."""

from __future__ import annotations

import binascii
import re
import struct
import zlib
from struct import unpack_from

PICTURE_BYTES = 64 * 1024
_DATA_URL = re.compile(r"\Adata:image/(png|jpeg|webp);base64,([A-Za-z0-9+/]+={0,2})\Z")
# 64 KiB of deflate can unpack to twice this; no logo does.
_UNPACKED_BYTES = 32 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD9)))


def picture_problem(url: str) -> str | None:
    """The problem of a ``data:`` picture, as a message; None if it is valid."""
    match = _DATA_URL.match(url)
    if match is None:
        return "Start the data: URL with data:image/png;base64, (or jpeg or webp), followed by base64."
    try:
        data = binascii.a2b_base64(match[2], strict_mode=True)
    except binascii.Error:
        return "The picture is not valid base64. Encode the file again."
    if len(data) > PICTURE_BYTES:
        return f"The picture has {len(data)} bytes; the limit is {PICTURE_BYTES}. Make it smaller, or use an https URL."
    is_valid = {"png": _is_png, "jpeg": _is_jpeg, "webp": _is_webp}[match[1]]
    try:
        good = is_valid(data)
    except (struct.error, IndexError, zlib.error):
        good = False
    return None if good else f"The data is not a complete {match[1]} picture. Encode the file again."


def _is_png(data: bytes) -> bool:
    """Signature, chunks with valid CRC, pixel data that unpacks, IEND last (ISO/IEC 15948)."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n") or data[12:16] != b"IHDR":
        return False
    at, packed, kind = 8, bytearray(), b""
    while at < len(data):
        (length,) = unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 8 + length
        (crc,) = unpack_from(">I", data, end)
        if crc != zlib.crc32(data[at + 4 : end]):
            return False
        if kind == b"IDAT":
            packed += data[at + 8 : end]
        at = end + 4
        if kind == b"IEND":
            break
    width, height = unpack_from(">II", data, 16)
    return kind == b"IEND" and at == len(data) and width > 0 and height > 0 and _unpacked_size(bytes(packed)) >= height


def _unpacked_size(packed: bytes) -> int:
    """Return the number of bytes that a deflate stream unpacks to, in pieces; -1 if it is cut off or too large."""
    unpack, size = zlib.decompressobj(), 0
    while not unpack.eof:
        piece = unpack.decompress(packed, _PIECE_BYTES)
        packed, size = unpack.unconsumed_tail, size + len(piece)
        if size > _UNPACKED_BYTES or not piece:
            break
    return size if unpack.eof and size <= _UNPACKED_BYTES else -1


def _is_jpeg(data: bytes) -> bool:
    """Segments up to the scan, a frame with a size, the end marker last (ITU T.81)."""
    if not data.startswith(b"\xff\xd8\xff") or not data.rstrip(b"\x00").endswith(b"\xff\xd9"):
        return False
    at, framed = 2, False
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _JPEG_BARE or marker == 0xFF:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = unpack_from(">H", data, at + 2)
        if marker in _JPEG_FRAMES:
            height, width = unpack_from(">HH", data, at + 5)
            framed = height > 0 and width > 0
        if marker == 0xDA:
            return framed
        at += 2 + length
    return False


def _is_webp(data: bytes) -> bool:
    """A valid RIFF size, chunks that fill it, one of them a bitstream (RFC 9649)."""
    (size,) = unpack_from("<I", data, 4)
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or size + 8 != len(data):
        return False
    at, kinds = 12, set()
    while at < len(data):
        (length,) = unpack_from("<I", data, at + 4)
        kind, body = data[at : at + 4], data[at + 8 : at + 8 + length]
        if kind == b"VP8L" and body[:1] != b"\x2f":
            return False
        if kind == b"VP8 " and body[3:6] != b"\x9d\x01\x2a":
            return False
        kinds.add(kind)
        at += 8 + length + length % 2
    return at == len(data) and bool(kinds & {b"VP8 ", b"VP8L", b"ANMF"})

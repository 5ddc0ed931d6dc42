"""Pictures in data: URLs: small ones, and really pictures of the kind they say."""

from __future__ import annotations

import binascii
import re
import struct
import zlib
from struct import unpack_from

PICTURE_BYTES = 64 * 1024
_DATA_URL = re.compile(r"\Adata:image/(png|jpeg|webp);base64,([A-Za-z0-9+/]+={0,2})\Z")
# 64 KiB of deflate can hold sixty times this; no logo does.
_UNPACKED_BYTES = 32 * 1024 * 1024
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD9)))


def picture_trouble(url: str) -> str | None:
    """What is wrong with a ``data:`` picture as a sentence, None if nothing."""
    match = _DATA_URL.match(url)
    if match is None:
        return "A data: picture must begin with data:image/png;base64, or the same with jpeg or webp, then base64."
    try:
        data = binascii.a2b_base64(match[2], strict_mode=True)
    except binascii.Error:
        return "The picture is not valid base64; encode the file again."
    if len(data) > PICTURE_BYTES:
        return f"The picture has {len(data)} bytes, at most {PICTURE_BYTES} fit; make it smaller or give its https URL."
    whole = {"png": _is_png, "jpeg": _is_jpeg, "webp": _is_webp}[match[1]]
    try:
        good = whole(data)
    except (struct.error, IndexError, zlib.error):
        good = False
    return None if good else f"The data is not a whole {match[1]} picture; encode the file again."


def _is_png(data: bytes) -> bool:
    """Signature, chunks with their CRC, pixel data that unpacks, the end chunk last (ISO/IEC 15948)."""
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
    unpack = zlib.decompressobj()
    pixels = unpack.decompress(bytes(packed), _UNPACKED_BYTES)
    return kind == b"IEND" and at == len(data) and width > 0 and height > 0 and len(pixels) >= height and unpack.eof


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
    """The RIFF size fits, the chunks fill it, and one of them is a bitstream (RFC 9649)."""
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

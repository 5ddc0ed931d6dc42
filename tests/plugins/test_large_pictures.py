from __future__ import annotations

import base64
import struct
import tracemalloc
import zlib

import pytest

from crm_branding.pictures import picture_problem

MIB = 1 << 20


def png(pixels: bytes) -> str:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()


def test_a_small_file_with_a_large_picture_is_checked_in_little_memory() -> None:
    """31 MiB of pixels in 32 KiB of file are unpacked in pieces."""
    url = png(bytes(31 * MIB))
    tracemalloc.start()
    try:
        assert picture_problem(url) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB


@pytest.mark.parametrize("pixels", [bytes(33 * MIB), b""], ids=["too large", "empty"])
def test_a_picture_that_is_none_is_refused(pixels: bytes) -> None:
    """Pixels beyond the limit, or none, make no picture."""
    assert picture_problem(png(pixels)) is not None


def test_a_picture_that_is_cut_off_is_refused() -> None:
    """Pixel data that ends early is refused, also if the file around it is complete."""
    data = base64.b64decode(png(b"\0" * 1000).partition(",")[2])
    at = data.index(b"IDAT")
    body = data[at + 4 : at + 8]
    idat = struct.pack(">I", 4) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
    cut = data[: at - 4] + idat + data[data.index(b"IEND") - 4 :]
    assert picture_problem("data:image/png;base64," + base64.b64encode(cut).decode()) is not None

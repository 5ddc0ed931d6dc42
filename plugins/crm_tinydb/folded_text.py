"""The end of a folded file, which tells whether it is whole."""

from __future__ import annotations

from zlib import crc32

from crm_tinydb.lines import Damaged

_MARK = b',\n"_check":'


def ending(length: int, checksum: int) -> bytes:
    """The last table: how many bytes come before it, and their CRC-32."""
    return b'%b{"1":{"bytes":%d,"crc32":"%08x"}}}\n' % (_MARK, length, checksum)


def check_whole(data: bytes) -> int:
    """Where the ending begins. Raises Damaged."""
    if not data:
        raise Damaged("is empty")
    end = data.rfind(_MARK)
    if end < 0 or data[end:] != ending(end, crc32(memoryview(data)[:end])):
        raise Damaged("does not fit its checksum")
    return end

"""The start of a folded file, which names its format, and its end, which shows whether it is whole."""

from __future__ import annotations

import re
from zlib import crc32

from crm_tinydb.framing import FORMAT, Damaged, NewerFormat

_MARK = b',\n"_check":'
_START = re.compile(rb'\{\n"_store":\{\n"1":\{"format":(\d{1,9})\b')


def stated_format(data: bytes) -> int:
    """The format that the first bytes of a folded file name; 0 if they name none."""
    found = _START.match(data)
    return int(found[1]) if found else 0


def ending(length: int, checksum: int) -> bytes:
    """The last table: how many bytes come before it, and their CRC-32."""
    return b'%b{"1":{"bytes":%d,"crc32":"%08x"}}}\n' % (_MARK, length, checksum)


def check_whole(data: bytes) -> int:
    """The length without the ending. Raises NewerFormat, Damaged."""
    if not data:
        raise Damaged("is empty")
    if (number := stated_format(data)) > FORMAT:  # before the checksum, which a newer format may compute otherwise
        raise NewerFormat(number)
    end = data.rfind(_MARK)
    if end < 0 or data[end:] != ending(end, crc32(memoryview(data)[:end])):
        raise Damaged("does not fit its checksum")
    return end

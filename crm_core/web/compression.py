"""Compressed lists and exports (RFC 9110, section 8.4.1.3).

An answer with an entity tag stays as it is, as a strong tag names the very bytes. So does one with a secret that must
not be guessed by its length: a page with a CSRF token, or an event stream, whose events may not wait for a block.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from crm_core.access.streams import Stream
from crm_core.web.accept import prefers_gzip
from crm_core.web.answers import Answer
from crm_core.web.request import Request

_VARY: Final = (b"vary", b"Accept-Encoding")
_LEAST: Final = 1024  # bytes of an answer that is worth it
_INLINE: Final = 64 * 1024  # bytes that the event loop compresses itself
_LEVEL: Final = 4
_GZIP: Final = 31  # zlib's window bits for the format of RFC 1952


async def compressed(request: Request, answer: Answer) -> Answer:
    """The answer in gzip if it is long enough and Accept-Encoding prefers it; it varies by that field either way."""
    fields, body = [*answer.headers, _VARY], answer.body
    varied = Answer(answer.status, fields, body)
    if answer.status != 200 or isinstance(body, Stream) or (isinstance(body, bytes) and len(body) <= _LEAST):
        return varied
    if not prefers_gzip(request.fields(b"accept-encoding")):
        return varied
    fields = [(name, value) for name, value in fields if name != b"content-length"]
    fields.append((b"content-encoding", b"gzip"))
    if not isinstance(body, bytes):
        return Answer(200, fields, _compressed_parts(body))
    packed = await asyncio.to_thread(_packed, body) if len(body) > _INLINE else _packed(body)
    return Answer(200, [*fields, (b"content-length", b"%d" % len(packed))], packed)


async def _compressed_parts(parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
    async with aclosing(parts):
        async for part in parts:
            if packed := compressor.compress(part):
                yield packed
    yield compressor.flush()


def _packed(body: bytes) -> bytes:
    return zlib.compress(body, _LEVEL, wbits=_GZIP)

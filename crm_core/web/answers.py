"""Answers of API and pages: a status, header fields as they are sent, and bytes, whole or part by part."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import msgspec

from crm_core.access.streams import Stream, Waiter
from crm_core.web.request import Request

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
PRIVATE: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
"""The header fields of an answer for one caller, who may store it and has to check that it is current."""
encoded: Final = msgspec.json.Encoder().encode
"""A value as JSON bytes."""

Fields = list[tuple[bytes, bytes]]
Parts = AsyncGenerator[bytes, None] | Stream


class Answer(msgspec.Struct, frozen=True):
    """An answer. Names of ``headers`` are in lower case; a body of bytes has its length among them."""

    status: int
    headers: Fields
    body: bytes | Parts = b""

    def adding(self, name: str, value: str) -> Answer:
        """The same answer with one more header field."""
        return Answer(self.status, [*self.headers, (name.lower().encode(), value.encode("latin-1"))], self.body)


class Later(msgspec.Struct, frozen=True):
    """No answer yet: the request is dispatched again, with the waiter, once the waiter calls."""

    waiter: Waiter


def content(body: bytes, media_type: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer with a body of a media type."""
    fields = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
    return Answer(status, fields + _fields(headers or {}), body)


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer; bytes go out as they are. Not cached unless ``headers`` says so."""
    whole = body if isinstance(body, bytes) else encoded(body)
    return content(whole, JSON, status, {"Cache-Control": "no-store", **(headers or {})})


def empty(status: int, headers: Mapping[str, str]) -> Answer:
    """An answer without a body, such as 204."""
    return Answer(status, _fields(headers))


def streamed(body: Parts, media_type: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer of unknown length. Not cached; texts say that they are UTF-8."""
    kind = f"{media_type}; charset=utf-8" if media_type == CSV else media_type
    fields = {"Content-Type": kind, "Cache-Control": "no-store", **(headers or {})}
    return Answer(200, _fields(fields), body)


async def for_head(answer: Answer) -> Answer:
    """The answer to HEAD: the parts of a stream are not made, as none of them is sent."""
    if not isinstance(answer.body, AsyncGenerator):
        return answer
    await answer.body.aclose()

    async def nothing() -> AsyncGenerator[bytes, None]:
        return
        yield b""  # makes it a generator

    return Answer(answer.status, answer.headers, nothing())


def etag_of(*parts: bytes) -> str:
    """A strong entity tag of content (RFC 9110, section 8.8.3)."""
    return f'"{hashlib.sha256(b"".join(parts)).hexdigest()[:32]}"'


def tagged(request: Request, body: bytes, etag: str, headers: Mapping[str, str]) -> Answer:
    """The JSON body with its entity tag, or 304 if the caller has it already (RFC 9110, section 13.1.2)."""
    fields = {"ETag": etag, **headers}
    if names(request.joined_field(b"if-none-match"), etag):
        return empty(304, fields)
    return content(body, JSON, headers=fields)


def names(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match field names the tag, by the weak comparison that it requires, or any tag."""
    if header is None:
        return False
    return header.strip() == "*" or any(each.strip().removeprefix("W/") == etag for each in header.split(","))


def _fields(headers: Mapping[str, str]) -> Fields:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

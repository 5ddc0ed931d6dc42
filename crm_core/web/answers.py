"""Answers of the API: JSON bytes, entity tags, and what every answer says about caching."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from quart import Response, request

JSON: Final = "application/json"
_encode = msgspec.json.Encoder().encode


def encoded(value: Any) -> bytes:
    """A value as JSON bytes."""
    return _encode(value)


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; bytes go out as they are. Not cached unless ``headers`` says so."""
    content = body if isinstance(body, bytes) else _encode(body)
    made = Response(content, status, content_type=JSON)
    for name, value in {"Cache-Control": "no-store", **(headers or {})}.items():
        made.headers.add(name, value)  # it has none of them yet, so none is looked for
    return made


def etag_of(*parts: bytes) -> str:
    """A strong entity tag of content (RFC 9110, section 8.8.3)."""
    return f'"{hashlib.sha256(b"".join(parts)).hexdigest()[:32]}"'


def tagged(body: bytes, etag: str, headers: Mapping[str, str]) -> Response:
    """The body with its entity tag, or 304 where the caller has it already (RFC 9110, section 13.1.2)."""
    if names(request.headers.get("If-None-Match"), etag):
        made = Response(b"", 304)
        del made.headers["Content-Type"]
    else:
        made = Response(body, 200, content_type=JSON)
    for name, value in {"ETag": etag, **headers}.items():
        made.headers.add(name, value)
    return made


def names(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match field names the tag, by the weak comparison that it asks for, or any tag."""
    if header is None:
        return False
    return header.strip() == "*" or any(each.strip().removeprefix("W/") == etag for each in _members(header))


def _members(header: str) -> Iterable[str]:
    return header.split(",")

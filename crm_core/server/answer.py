"""Answers of the server itself, for requests that never reach the application."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from crm_core.errors import CrmError

Headers = list[tuple[bytes, bytes]]


def problem(error: CrmError, request_id: str) -> tuple[Headers, bytes]:
    """Header fields and body of an error (RFC 9457) after which the connection is closed."""
    members = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    body = msgspec.json.encode(members)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
    ]
    return headers, body


def raw_problem(error: CrmError, request_id: str, first: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The same as the bytes of a whole HTTP/1.1 answer; ``first`` are the fields that every answer has."""
    headers, body = problem(error, request_id)
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in (*first, *headers)]
    return b"\r\n".join([*lines, b"", body])

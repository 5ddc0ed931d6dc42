"""Errors as responses, written without the application."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from crm_core.errors import CrmError

Headers = list[tuple[bytes, bytes]]


def problem(error: CrmError, request_id: str) -> tuple[Headers, bytes]:
    """Return the header fields and the body of a problem (RFC 9457)."""
    body = msgspec.json.encode(error.problem(request_id))
    headers = [(b"content-type", b"application/problem+json"), *body_headers(body, request_id)]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    return headers, body


def body_headers(body: bytes, request_id: str) -> Headers:
    """Return the header fields that go with a body that must not be cached."""
    return [
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
    ]


def closing(error: CrmError, request_id: str) -> tuple[Headers, bytes]:
    """Return a problem after which the connection closes."""
    headers, body = problem(error, request_id)
    return [*headers, (b"connection", b"close")], body


def raw_response(error: CrmError, request_id: str, first: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a closing problem as the bytes of an HTTP/1.1 response that starts with the fields ``first``."""
    headers, body = closing(error, request_id)
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in (*first, *headers)]
    return b"\r\n".join([*lines, b"", body])

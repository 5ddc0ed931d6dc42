"""Errors as responses, written without the application."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import msgspec

from crm_core.errors import CrmError, MethodNotAllowed

PROBLEM: Final = "application/problem+json"

Headers = list[tuple[bytes, bytes]]


def problem(error: CrmError, request_id: str, instance: str | None = None) -> tuple[Headers, bytes]:
    """Return the header fields and the body of a problem (RFC 9457), without the field of the request id."""
    body = msgspec.json.encode(error.problem(request_id, instance))
    return [(b"content-type", PROBLEM.encode()), (b"content-length", b"%d" % len(body)), *headers_of(error)], body


def headers_of(error: CrmError) -> Headers:
    """Return the header fields that go with an error."""
    headers = [(b"cache-control", b"no-store")]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.evidence["allow"].encode()))  # RFC 9110, section 15.5.6
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


def closing(error: CrmError, request_id: str, instance: str | None) -> tuple[Headers, bytes]:
    """Return a problem after which the connection closes."""
    headers, body = problem(error, request_id, instance)
    return [*headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")], body


def raw_response(error: CrmError, request_id: str, instance: str | None, first: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a closing problem as the bytes of an HTTP/1.1 response that starts with the fields ``first``."""
    headers, body = closing(error, request_id, instance)
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()]
    lines += [name + b": " + value for name, value in (*first, *headers)]
    return b"\r\n".join([*lines, b"", body])

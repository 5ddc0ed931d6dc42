"""Errors as responses, written without the application."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import msgspec

from crm_core.errors import CrmError, InsufficientScope, MethodNotAllowed, Unauthenticated

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
    challenge = _challenge(error)
    if challenge:
        headers.append((b"www-authenticate", challenge.encode()))
    return headers


def _challenge(error: CrmError) -> str:
    """Return the challenge of a refusal of credentials (RFC 6750, section 3), empty for other errors."""
    if isinstance(error, InsufficientScope):
        scope = error.evidence.get("scope")
        return 'Bearer error="insufficient_scope"' + (f', scope="{scope}"' if scope else "")
    if error.status != HTTPStatus.UNAUTHORIZED:
        return ""
    return 'Bearer error="invalid_token"' if isinstance(error, Unauthenticated) and error.rejected else "Bearer"


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

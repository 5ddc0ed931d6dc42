"""What the manager answers by itself."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from crm_core.errors import CrmError

_JSON: Final = b"application/json"
_PROBLEM: Final = b"application/problem+json"


async def tell(send: Any, value: Any, request_id: str) -> None:
    """Answer with a value as JSON."""
    await _send(send, 200, msgspec.json.encode(value), [(b"content-type", _JSON)], request_id)


async def tell_error(send: Any, error: CrmError, request_id: str) -> None:
    """Answer with an error as a problem (RFC 9457)."""
    members = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
        **error.evidence,
    }
    fields = [(b"content-type", _PROBLEM)]
    if error.retry_after is not None:
        fields.append((b"retry-after", b"%d" % error.retry_after))
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        fields.append((b"allow", b"GET, HEAD"))
    await _send(send, error.status, msgspec.json.encode(members), fields, request_id)


async def _send(send: Any, status: int, body: bytes, fields: list[tuple[bytes, bytes]], request_id: str) -> None:
    headers = [
        *fields,
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})

"""What the manager answers by itself."""

from __future__ import annotations

import html
from http import HTTPStatus
from typing import Any, Final

import msgspec

from crm_core.errors import CrmError

_JSON: Final = b"application/json"
_PROBLEM: Final = b"application/problem+json"
_HTML: Final = b"text/html; charset=utf-8"
_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_OURS: Final = 500
_PAGE_SECONDS: Final = 5
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
{again}
<title>{title}</title>
<h1>{title}</h1>
<p>{detail}</p>
<p><small>{request_id}</small></p>
</html>
"""


async def tell(send: Any, value: Any, request_id: str) -> None:
    """Answer with a value as JSON."""
    await _send(send, 200, msgspec.json.encode(value), [(b"content-type", _JSON)], request_id)


async def tell_error(send: Any, error: CrmError, request_id: str, *, as_page: bool) -> None:
    """Answer with an error as a problem (RFC 9457), or to people as a page that tries again by itself."""
    if as_page:
        page = _page(error, request_id)
        await _send(send, error.status, page, [*_of_error(error), (b"content-type", _HTML), _POLICY], request_id)
        return
    members = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
        **error.evidence,
    }
    fields = [*_of_error(error), (b"content-type", _PROBLEM)]
    await _send(send, error.status, msgspec.json.encode(members), fields, request_id)


def _of_error(error: CrmError) -> list[tuple[bytes, bytes]]:
    fields = []
    if error.retry_after is not None:
        fields.append((b"retry-after", b"%d" % error.retry_after))
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        fields.append((b"allow", b"GET, HEAD"))
    return fields


def _page(error: CrmError, request_id: str) -> bytes:
    again = f'<meta http-equiv="refresh" content="{_PAGE_SECONDS}">' if error.status >= _OURS else ""
    return _PAGE.format(
        again=again, title=html.escape(error.title), detail=html.escape(error.detail), request_id=request_id
    ).encode()


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

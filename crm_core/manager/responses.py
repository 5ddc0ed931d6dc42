"""Responses that the manager gives itself."""

from __future__ import annotations

import html
from http import HTTPStatus
from typing import Any, Final

import msgspec

from crm_core.errors import CrmError, MethodNotAllowed
from crm_core.server.problem import Headers, body_headers, problem

_PAGE_HEADERS: Final = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
_REFRESH: Final = '<meta http-equiv="refresh" content="5">'
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
{refresh}
<title>{title}</title>
<h1>{title}</h1>
<p>{detail}</p>
<p><small>{request_id}</small></p>
</html>
"""


async def send_json(send: Any, value: Any, request_id: str) -> None:
    """Respond with a value as JSON."""
    body = msgspec.json.encode(value)
    await _send(send, 200, [(b"content-type", b"application/json"), *body_headers(body, request_id)], body)


async def send_problem(send: Any, error: CrmError, request_id: str, *, as_page: bool) -> None:
    """Respond with an error as a problem, or to a browser as a page that reloads itself while the instance is down."""
    headers, body = problem(error, request_id)
    if as_page:
        body = _page(error, request_id)
        headers = [
            *_PAGE_HEADERS,
            *body_headers(body, request_id),
            *(each for each in headers if each[0] == b"retry-after"),
        ]
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", b"GET, HEAD"))
    await _send(send, error.status, headers, body)


def _page(error: CrmError, request_id: str) -> bytes:
    refresh = _REFRESH if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
    title, detail = html.escape(error.title), html.escape(error.detail)
    return _PAGE.format(refresh=refresh, title=title, detail=detail, request_id=request_id).encode()


async def _send(send: Any, status: int, headers: Headers, body: bytes) -> None:
    headers.append((b"x-content-type-options", b"nosniff"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})

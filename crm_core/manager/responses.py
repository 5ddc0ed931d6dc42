"""Responses that the manager gives itself."""

from __future__ import annotations

import html
from http import HTTPStatus
from typing import Final

import msgspec

from crm_core.errors import CrmError
from crm_core.server.asgi import Send
from crm_core.server.problem import Headers, headers_of, problem

NOTHING_HERE: Final = "There is nothing at this address. Instances are at /i/{instance}/."
UNKNOWN_INSTANCE: Final = "No instance with this code is served here. Check the code after /i/."
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


async def send_json(send: Send, value: object, request_id: str) -> None:
    """Respond with a value as JSON."""
    body = msgspec.json.encode(value)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await _send(send, 200, headers, body, request_id)


async def send_problem(
    send: Send, error: CrmError, request_id: str, *, instance: str | None, page_for: str | None
) -> None:
    """Respond with an error as a problem, or as a page to a browser, whose request's method is ``page_for``.

    A page that was requested reloads itself while the instance is down. The response to a form does not: the browser
    would not send the form again but request a page at its address, which may have none.
    """
    headers, body = problem(error, request_id, instance)
    if page_for is not None:
        body = _page(error, request_id, page_for)
        headers = [*_PAGE_HEADERS, (b"content-length", b"%d" % len(body)), *headers_of(error)]
    await _send(send, error.status, headers, body, request_id)


def _page(error: CrmError, request_id: str, method: str) -> bytes:
    reloads = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and method in ("GET", "HEAD")
    refresh = _REFRESH if reloads else ""
    title, detail = html.escape(error.title), html.escape(error.detail)
    return _PAGE.format(refresh=refresh, title=title, detail=detail, request_id=request_id).encode()


async def _send(send: Send, status: int, headers: Headers, body: bytes, request_id: str) -> None:
    headers += [(b"x-request-id", request_id.encode()), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})

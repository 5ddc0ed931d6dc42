"""The only place where errors become HTTP: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from quart import Response
from werkzeug.exceptions import HTTPException

from crm_core.errors import CrmError, InternalError, MalformedRequest, MethodNotAllowed, NotFound, PluginFailed
from crm_core.server_log import ServerLog
from crm_core.web.exchange import exchange

PROBLEM: Final = "application/problem+json"
_log = ServerLog("crm.web")
_UNAUTHORIZED: Final = 401


def document(error: CrmError, request_id: str) -> dict[str, Any]:
    """The members of a problem."""
    return error.problem(request_id)


def headers_of(error: CrmError) -> dict[str, str]:
    """The header fields that go with an error."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = error.evidence["allow"]  # RFC 9110, section 15.5.6
    if error.status == _UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def problem(error: CrmError) -> Response:
    """An error as the answer to the request at hand."""
    body = msgspec.json.encode(document(error, exchange().request_id))
    made = Response(body, error.status, content_type=PROBLEM)
    for name, value in headers_of(error).items():
        made.headers[name] = value
    return made


def understood(error: Exception) -> CrmError:
    """Any exception as an error of ours; what is not one is logged, without its trace or words, and told as internal.

    The words of a foreign exception may hold what a request or a store held, so only its type and place are logged.
    """
    if isinstance(error, CrmError):
        if isinstance(error, PluginFailed):
            _log.error("plugin_failed", detail=error.detail, **origin(error.__cause__), request_id=_request_id())
        return error
    if isinstance(error, HTTPException):
        return _of_framework(error)
    _log.error("internal_error", **origin(error), request_id=_request_id())
    return InternalError("Something broke on our side; nothing was changed. The request id leads to the server's log.")


def origin(error: BaseException | None) -> dict[str, str]:
    """The type of an exception and the line that raised it."""
    if error is None:
        return {}
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "unknown"
    return {"error": type(error).__name__, "at": place}


def _of_framework(error: HTTPException) -> CrmError:
    if error.code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return MethodNotAllowed(f"Use {allowed} here." if allowed else "", allow=allowed)
    if error.code == HTTPStatus.NOT_FOUND:
        return NotFound("There is nothing at this address.")
    if error.code is not None and error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return MalformedRequest(f"The request cannot be read ({error.name}).")
    return InternalError()


def _request_id() -> str:
    return exchange().request_id

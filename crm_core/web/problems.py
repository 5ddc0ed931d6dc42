"""The only place where errors become HTTP: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from typing import Any, Final

from crm_core.errors import CrmError, InternalError, MethodNotAllowed, PluginFailed
from crm_core.server_log import ServerLog
from crm_core.web.answers import Answer, content, encoded

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


def problem(error: Exception, request_id: str) -> Answer:
    """An exception as the answer to a request."""
    known = understood(error, request_id)
    return content(encoded(document(known, request_id)), PROBLEM, known.status, headers_of(known))


def understood(error: Exception, request_id: str) -> CrmError:
    """Any exception as a CrmError; a foreign one is logged without its trace or words, and becomes InternalError.

    The words of a foreign exception may contain data of a request or a store, so only its type and place are logged.
    """
    if isinstance(error, CrmError):
        if isinstance(error, PluginFailed):
            _log.error("plugin_failed", detail=error.detail, **origin(error.__cause__), request_id=request_id)
        return error
    _log.error("internal_error", **origin(error), request_id=request_id)
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

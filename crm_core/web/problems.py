"""Exceptions as answers: a problem (RFC 9457), and a line in the server's log for those that are our fault."""

from __future__ import annotations

from crm_core.errors import CrmError, InternalError, PluginFailed
from crm_core.server.problem import problem as server_problem
from crm_core.server_log import NO_PLUGIN, ServerLog, origin
from crm_core.web.answers import Answer
from crm_core.web.request import Request

_log = ServerLog("crm.web")


def problem(error: Exception, request: Request) -> Answer:
    """An exception as the answer to a request."""
    known = understood(error, request.request_id)
    headers, body = server_problem(known, request.request_id, request.instance)
    return Answer(known.status, headers, body)


def understood(error: Exception, request_id: str) -> CrmError:
    """Any exception as a CrmError; a foreign one is logged without its trace or words, and becomes InternalError.

    The words of a foreign exception may contain data of a request or a store, so only its type and place are logged.
    """
    if isinstance(error, CrmError):
        if isinstance(error, PluginFailed):
            cause = origin(error.__cause__, outside=NO_PLUGIN)
            _log.error("plugin_failed", **error.evidence, detail=error.operator_detail, **cause, request_id=request_id)
        return error
    _log.error("internal_error", **origin(error), request_id=request_id)
    return InternalError("Something broke on our side; nothing was changed. The request id leads to the server's log.")

"""Between Quart and our requests and answers, for the pages and for an API request that comes through Quart."""

from __future__ import annotations

from http import HTTPStatus

from quart import Response, request
from werkzeug.exceptions import HTTPException

from crm_core.errors import CrmError, InternalError, MalformedRequest, MethodNotAllowed, NotFound
from crm_core.web.answers import Answer
from crm_core.web.operations import BASE
from crm_core.web.problems import problem
from crm_core.web.request import SCOPE_KEY, Request


def current_request() -> Request:
    """Our request for the one that Quart is answering."""
    found: Request = request.scope[SCOPE_KEY]  # type: ignore[typeddict-item]  # the front put it there
    return found


class AnswerResponse(Response):
    """A response with the header fields that it is given, and no others."""

    default_mimetype = None  # type: ignore[assignment]  # no media type unless one is given
    automatically_set_content_length = False


def response_of(answer: Answer) -> Response:
    """Quart's response for an answer."""
    headers = [(name.decode(), value.decode("latin-1")) for name, value in answer.headers]
    return AnswerResponse(answer.body, answer.status, headers)  # type: ignore[arg-type]  # pairs are headers too


def error_response(error: Exception) -> Response:
    """The problem for an exception of a page or of Quart itself."""
    known = _of_framework(error) if isinstance(error, HTTPException) else error
    return response_of(problem(known, current_request()))


def _of_framework(error: HTTPException) -> CrmError:
    if error.code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        detail = f"This is the address of a page: use {allowed}. The addresses of the API begin with {BASE}/."
        return MethodNotAllowed(detail if allowed else "", allow=allowed)
    if error.code == HTTPStatus.NOT_FOUND:
        return NotFound("There is nothing at this address.")
    if error.code is not None and error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return MalformedRequest(f"The request cannot be read ({error.name}).")
    return InternalError()

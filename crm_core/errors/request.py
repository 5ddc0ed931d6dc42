"""Errors of the request as such."""

from __future__ import annotations

from crm_core.errors.base import CrmError


class RequestError(CrmError):
    """The request as such cannot be served."""


class NotFound(RequestError, status=404, code="not_found", title="Not found"):
    """There is nothing at this address, or nothing the caller may know of."""


class MethodNotAllowed(RequestError, status=405, code="method_not_allowed", title="Method not allowed"):
    """The address exists but not for this method."""


class NotAcceptable(RequestError, status=406, code="not_acceptable", title="Not acceptable"):
    """None of the requested media types can be produced."""


class MalformedPath(RequestError, status=400, code="malformed_path", title="Malformed path"):
    """The path contains something that proxies read differently: refused before routing."""


class MalformedRequest(RequestError, status=400, code="malformed_request", title="Malformed request"):
    """The bytes received are not HTTP/1.1, or could be read as two different requests (RFC 9112, section 11.2)."""


class HeadTooLarge(RequestError, status=431, code="head_too_large", title="Request head too large"):
    """Request line and header fields are over their limit (RFC 6585, section 5)."""


class RequestTimeout(RequestError, status=408, code="request_timeout", title="Request timeout"):
    """The head or the body did not arrive in time."""


class InvalidParameter(RequestError, status=400, code="invalid_parameter", title="Invalid parameter"):
    """A query parameter has a value that cannot be used."""


class UnknownParameter(RequestError, status=400, code="unknown_parameter", title="Unknown parameter"):
    """A query parameter is not known here."""


class InvalidCursor(RequestError, status=400, code="invalid_cursor", title="Invalid cursor"):
    """A paging cursor was edited, is of another list, or was signed with a retired key."""


class CursorExpired(RequestError, status=410, code="cursor_expired", title="Cursor expired"):
    """A cursor of the change feed is of another store, from before a restore, or too old."""


class PayloadTooLarge(RequestError, status=413, code="payload_too_large", title="Payload too large"):
    """The body is over its limit; refused while it is read."""


class UnsupportedMediaType(RequestError, status=415, code="unsupported_media_type", title="Unsupported media type"):
    """Media type, charset or content encoding is not taken here."""


class RateLimited(RequestError, status=429, code="rate_limited", title="Too many requests"):
    """Too many requests of this kind from this source."""


class TooManyStreams(RequestError, status=429, code="too_many_streams", title="Too many event streams"):
    """The tenant or the caller has as many event streams and waiting requests as it may."""

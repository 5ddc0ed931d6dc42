"""CORS for the API: the browser apps of `allowed_origins` use it with a bearer token (WHATWG Fetch, section 3.2)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from crm_core.web.answers import Answer, Fields
from crm_core.web.request import Request

_BASE: Final = re.compile(r"/i/[^/]*/t/[^/]*/api/v1(?:/|$)")
_VARY: Final = (b"vary", b"Origin")
_REQUEST_FIELDS: Final = b"Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, Last-Event-ID"
_EXPOSED: Final = b"ETag, Location, Link, Retry-After, X-Request-Id, Idempotent-Replayed"
_MAX_AGE: Final = b"600"  # seconds that a browser may use the answer to a preflight


class Cors:
    """Which origins may use the API. No answer allows credentials, so a page of another site never uses a cookie."""

    def __init__(self, allowed_origins: Collection[str]) -> None:
        self._allowed = {origin.encode() for origin in allowed_origins}

    def fields(self, request: Request) -> Fields:
        """The header fields that every answer to the request has: those of an allowed origin, and ``Vary``."""
        if _BASE.match(request.path) is None:
            return []
        origin = self._origin(request)
        if origin is None:
            return [_VARY]
        return [_VARY, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]

    def is_preflight(self, request: Request) -> bool:
        """Whether the browser of an allowed origin requests permission for a request to the API."""
        return (
            request.method == "OPTIONS"
            and request.field(b"access-control-request-method") is not None
            and _BASE.match(request.path) is not None
            and self._origin(request) is not None
        )

    def _origin(self, request: Request) -> bytes | None:
        """The allowed origin of a request."""
        if b"origin" not in request.last:
            return None
        sent = [value for name, value in request.headers if name == b"origin"]
        return sent[0] if len(sent) == 1 and sent[0] in self._allowed else None


def preflight(methods: str) -> Answer:
    """The answer to a preflight for a path that has these methods."""
    return Answer(
        204,
        [
            (b"access-control-allow-methods", methods.encode()),
            (b"access-control-allow-headers", _REQUEST_FIELDS),
            (b"access-control-max-age", _MAX_AGE),
        ],
    )

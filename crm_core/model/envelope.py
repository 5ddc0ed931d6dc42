"""The envelope of a push: addressee, payload type, version, data, mode and strategy."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from crm_core.errors import Finding, InvalidEnvelope
from crm_core.model.diff import pointer_to
from crm_core.model.times import is_moment

MAX_VERSION = 2**53 - 1  # the largest integer that every JSON reader keeps exact (RFC 7493)
_MAX_SOURCE = 200


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A push as sent, its ``data`` unchecked."""

    tenant: str
    type: str
    version: int
    data: dict[str, Any]
    instance: str | None = None
    mode: Literal["apply", "preview"] = "apply"
    strategy: Literal["replace", "merge"] = "replace"
    issued_at: str | None = None
    source: str | None = None


_REQUIRED = ("tenant", "type", "version", "data")
_RULES = {
    "tenant": "Name the tenant in text, as in the address.",
    "instance": "Name the instance in text, as in the address.",
    "type": "Name the payload type in text, as in the address.",
    "version": f"Send a whole number from 1 to {MAX_VERSION}.",
    "data": "Send an object.",
    "mode": "Send apply or preview.",
    "strategy": "Send replace or merge.",
    "issued_at": "Send an RFC 3339 time in UTC, such as 2026-11-24T02:00:00Z.",
    "source": f"Send text of up to {_MAX_SOURCE} characters.",
}


def read_envelope(body: object) -> Envelope:
    """The envelope in a parsed body. Raises InvalidEnvelope that lists every member at fault."""
    if not isinstance(body, dict):
        raise InvalidEnvelope("The body must be a JSON object.", errors=[Finding("", "wrong_type", "Send an object.")])
    wrong = [Finding(f"/{name}", "missing_member", _RULES[name]) for name in _REQUIRED if name not in body]
    for name, value in body.items():
        if name not in _RULES:
            known = f"Unknown member. Known members: {', '.join(_RULES)}."
            wrong.append(Finding(pointer_to(name), "unknown_member", known))
        elif not _fits(name, value):
            wrong.append(Finding(f"/{name}", "invalid_value", _RULES[name]))
    if wrong:
        raise InvalidEnvelope("The envelope does not fit; see errors.", errors=wrong)
    return Envelope(**body)


def _fits(name: str, value: object) -> bool:
    match name:
        case "version":
            return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_VERSION
        case "data":
            return isinstance(value, dict)
        case "mode":
            return value in ("apply", "preview")
        case "strategy":
            return value in ("replace", "merge")
        case "issued_at":
            return isinstance(value, str) and value.endswith("Z") and is_moment(value)
        case "source":
            return isinstance(value, str) and len(value) <= _MAX_SOURCE
        case _:
            return isinstance(value, str)

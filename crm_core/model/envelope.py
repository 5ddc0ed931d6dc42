"""The envelope of a push: addressee, payload type, version, data, mode and strategy."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from crm_core.errors import Finding, InvalidEnvelope
from crm_core.model.fields import convert, prepare
from crm_core.model.times import is_moment

MAX_VERSION = 2**53 - 1  # the largest integer that every JSON reader keeps exact (RFC 7493)
_MAX_SOURCE = 200


def _is_utc(text: str) -> bool:
    return text.endswith("Z") and is_moment(text)


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A push as sent, its ``data`` unchecked."""

    tenant: str
    instance: str | UnsetType = UNSET
    type: str
    version: Annotated[int, Meta(ge=1, le=MAX_VERSION)]
    data: dict[str, Any]
    mode: Literal["apply", "preview"] = "apply"
    strategy: Literal["replace", "merge"] = "replace"
    issued_at: Annotated[str, Meta(extra={"check": _is_utc})] | UnsetType = UNSET
    source: Annotated[str, Meta(max_length=_MAX_SOURCE)] | UnsetType = UNSET


prepare((Envelope,))  # long bodies are checked in threads
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
    converted, findings = convert(body, Envelope)
    if converted is None:
        wrong = [Finding(f"/{name}", "missing_member", _RULES[name]) for name in _REQUIRED if name not in body]
        wrong += [_by_rule(finding) for finding in findings if finding.code != "missing_member"]
        raise InvalidEnvelope("The envelope does not fit; see errors.", errors=wrong)
    envelope: Envelope = converted
    return envelope


def _by_rule(finding: Finding) -> Finding:
    """A finding with the rule of its member, if that is known."""
    rule = _RULES.get(finding.pointer[1:])
    return finding if rule is None else Finding(finding.pointer, "invalid_value", rule)

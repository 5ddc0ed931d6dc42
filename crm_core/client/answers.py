"""A receiver's answers as values, and failures as errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from crm_core.errors import Finding
from crm_core.model.diff import Change
from crm_core.model.fields import prepare


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a push or a preview. ``document`` is the whole answer.

    ``unchanged``: the push left every section as it is; its version counts, ``changes`` is empty and ``applied_at``
    null. ``already_applied``: an earlier copy of this push was accepted; its changes are not repeated.
    ``revision`` and ``applied_at`` are null in a preview.
    """

    status: Literal["applied", "unchanged", "previewed", "already_applied"]
    request_id: str | None = None
    version: int | None = None
    revision: int | None = None
    applied_at: str | None = None
    changes: tuple[Change, ...] = ()
    modules: Mapping[str, str] = {}
    warnings: tuple[Finding, ...] = ()
    document: Mapping[str, Any] = {}


class SectionHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A section in a health answer. ``min_version``: the lowest version that the next push may have."""

    version: int | None = None
    min_version: int = 1
    revision: int | None = None
    sha256: str | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's sync health; ``document`` is the whole answer."""

    status: Literal["ok", "degraded", "stale", "disabled"]
    reasons: tuple[str, ...] = ()
    enabled: bool = True
    expected_key: str | None = None
    payload_types: tuple[str, ...] = ()
    sections: Mapping[str, SectionHealth] = {}
    skew_seconds: int | None = None
    document: Mapping[str, Any] = {}

    @property
    def store_unreadable(self) -> bool:
        """Whether the receiver could not read the tenant's store, so that ``sections`` is empty for that reason."""
        return "log_head" in self.document and self.document["log_head"] is None

    def min_version(self, payload_type: str, data: Mapping[str, Any]) -> int:
        """The lowest version a push may have: its section's, or the highest of the sections that its data names."""
        names = [payload_type] if payload_type in self.sections else [name for name in data if name in self.sections]
        return max((self.sections[name].min_version for name in names), default=1)


prepare((Outcome, Health))  # threads of a fleet read both


class ClientError(Exception):
    """A push, preview or health request failed; the text is a sentence."""


class Refused(ClientError):
    """The receiver refused the request, and would refuse the same one again. ``document`` is the whole problem."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(document.get("code", ""))
        self.detail = str(document.get("detail") or document.get("title") or "")
        self.request_id: str | None = document.get("request_id")
        self.document = document
        super().__init__(f"{status} {self.code}: {self.detail}")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every error of the input, if the receiver listed them."""
        listed = self.document.get("errors")
        return tuple(_finding(error) for error in listed) if isinstance(listed, list) else ()


class Unanswered(ClientError):
    """No final answer after every attempt: lost connections, or faults of the receiver.

    The push may have been applied. Pushing the same data under the same version again is safe: it is applied once.
    """


class NotAReceiver(ClientError):
    """Something else answers at this address: a redirect, a page, another program."""


def _finding(error: object) -> Finding:
    members = error if isinstance(error, dict) else {}
    return Finding(str(members.get("pointer", "")), str(members.get("code", "")), str(members.get("message", "")))

"""What a receiver answers, as values, and what can go wrong, as errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from crm_core.errors import Finding
from crm_core.model.diff import Change


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A push that is done, or a preview of one.

    ``already_applied``: an earlier copy of this very push was applied, and what it changed is not told again.
    ``revision`` and ``applied_at`` are null in a preview. ``told`` is the whole answer.
    """

    status: Literal["applied", "previewed", "already_applied"]
    request_id: str | None = None
    version: int | None = None
    revision: int | None = None
    applied_at: str | None = None
    changes: tuple[Change, ...] = ()
    modules: Mapping[str, str] = {}
    warnings: tuple[Finding, ...] = ()
    told: Mapping[str, Any] = {}


class SectionHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One section as health tells it. ``min_version``: the lowest version that the next push may have."""

    version: int | None = None
    min_version: int = 1
    revision: int | None = None
    sha256: str | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's sync health; ``told`` is the whole answer."""

    status: Literal["ok", "degraded", "stale", "disabled"]
    reasons: tuple[str, ...] = ()
    enabled: bool = True
    expected_key: str | None = None
    payload_types: tuple[str, ...] = ()
    sections: Mapping[str, SectionHealth] = {}
    skew_seconds: int | None = None
    told: Mapping[str, Any] = {}

    def min_version(self, payload_type: str, data: Mapping[str, Any]) -> int:
        """The lowest version a push may have: its section's, or the highest of the sections that its data names."""
        names = [payload_type] if payload_type in self.sections else [name for name in data if name in self.sections]
        return max((self.sections[name].min_version for name in names), default=1)


class ClientError(Exception):
    """A push, preview or health request that came to nothing; the text is a sentence."""


class Refused(ClientError):
    """The receiver says no, and will say no to the same request again."""

    def __init__(self, status: int, told: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(told.get("code", ""))
        self.detail = str(told.get("detail") or told.get("title") or "")
        self.request_id: str | None = told.get("request_id")
        self.told = told
        super().__init__(f"{status} {self.code}: {self.detail}")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every error of the input, where the receiver listed them."""
        listed = self.told.get("errors")
        return tuple(_finding(one) for one in listed) if isinstance(listed, list) else ()


class Unanswered(ClientError):
    """No final answer: the connection failed, or the receiver could not work, each time.

    Whether a push was applied is not known after a lost connection. Pushing the same data under the same version
    again is safe: it is applied once.
    """


class NotAReceiver(ClientError):
    """Something answers at this address, but not as a receiver does: a redirect, a page, another program."""


def _finding(one: Any) -> Finding:
    told = one if isinstance(one, dict) else {}
    return Finding(str(told.get("pointer", "")), str(told.get("code", "")), str(told.get("message", "")))

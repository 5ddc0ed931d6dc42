"""The receiver's configuration, and the explanation of a captured request."""

from __future__ import annotations

from typing import Literal

import msgspec

from crm_core.errors import Finding
from crm_core.explain.cause import Cause
from crm_core.model.keys import Roster
from crm_core.plugin.registry import Registry
from crm_core.settings.sync import SyncSettings
from crm_core.sync.checks import Check

Verdict = Literal["passed", "failed", "unknown"]


class ReceiverRules(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration by which a receiver decides. ``instances``: other codes that a sender may confuse with its own.

    ``public_url``: its origin for clients, None if it is not set.
    """

    instance: str
    settings: SyncSettings
    roster: Roster
    registry: Registry
    instances: tuple[str, ...] = ()
    public_url: str | None = None


class ExplainedCheck(msgspec.Struct, frozen=True):
    """A check, its verdict and the reason. ``errors``: each error of the input, with its place in the body."""

    check: Check
    verdict: Verdict
    code: str | None = None
    detail: str = ""
    errors: tuple[Finding, ...] = ()


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The checks of a captured request and the causes found. ``signed_text``: the text that it should have signed."""

    checks: tuple[ExplainedCheck, ...]
    causes: tuple[Cause, ...]
    notes: tuple[str, ...]
    scheme: str | None
    tenant: str
    key: str | None
    signed_text: bytes | None
    body_bytes: int
    body_sha256: str

    @property
    def refused(self) -> bool:
        """Whether any check failed."""
        return any(check.verdict == "failed" for check in self.checks)

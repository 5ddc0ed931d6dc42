"""What the receiver goes by, and what became of a captured request."""

from __future__ import annotations

from typing import Literal

import msgspec

from crm_core.explain.mistake import Mistake
from crm_core.model.keys import Roster
from crm_core.plugin.registry import Registry
from crm_core.settings import SyncSettings

Verdict = Literal["passed", "failed", "unknown"]
Cause = Mistake
"""Why a request was refused, as a mistake of its sender."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver goes by. ``instances``: codes of others that a sender may confuse with this one."""

    instance: str
    settings: SyncSettings
    roster: Roster
    registry: Registry
    instances: tuple[str, ...] = ()


class ExplainedCheck(msgspec.Struct, frozen=True):
    """One check: its number in the order of the protocol, how it ended and why."""

    number: int
    title: str
    verdict: Verdict
    code: str | None = None
    told: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a captured request. ``signed_text`` is what its signature should have been made over."""

    steps: tuple[ExplainedCheck, ...]
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
        return any(step.verdict == "failed" for step in self.steps)

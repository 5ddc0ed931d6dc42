"""The documented shape of sync health."""

from __future__ import annotations

from typing import Literal

import msgspec

from crm_core.model.log import Head


class AcceptedKey(msgspec.Struct, frozen=True):
    """A key of the roster; ``uses`` and ``last_used_at`` are null if the store cannot be read."""

    key_version: int
    state: Literal["staged", "active", "expired", "revoked"]
    not_before: str | None
    not_after: str | None
    fingerprint: str
    kind: Literal["secret", "public"]
    schemes: list[str] | None
    types: list[str] | None
    last_used_at: str | None
    uses: int | None


class SectionHealth(msgspec.Struct, frozen=True):
    """A stored section; a ``sha256`` other than that of the desired data shows drift."""

    version: int
    min_version: int
    revision: int
    applied_at: str
    request_id: str
    sha256: str


class LastAttempt(msgspec.Struct, frozen=True):
    """The newest verified attempt of a kind."""

    at: str
    request_id: str
    type: str | None
    version: int | None
    key_version: int | None
    error_code: str | None
    error_message: str | None


class AttemptCounts(msgspec.Struct, frozen=True):
    """How many attempts had each outcome; null if the store cannot be read."""

    applied: int | None
    unchanged: int | None
    rejected: int | None
    failed: int | None
    unverified: int | None


class DayCounts(msgspec.Struct, frozen=True, rename={"day": "24h"}):
    """Counts of the last 24 hours."""

    day: AttemptCounts


class RosterState(msgspec.Struct, frozen=True):
    """When the current roster was loaded, and why a newer edit was not."""

    loaded_at: str
    error: str | None


class SyncHealth(msgspec.Struct, frozen=True):
    """The health of a tenant's sync."""

    status: Literal["ok", "degraded", "stale", "disabled"]
    reasons: list[str]
    enabled: bool
    instance: str
    tenant: str
    expected_key: str | None
    accepted_keys: list[AcceptedKey]
    schemes: list[str]
    payload_types: list[str]
    skew_seconds: int
    server_time: str
    roster: RosterState
    sections: dict[str, SectionHealth]
    last_success: LastAttempt | None
    last_failure: LastAttempt | None
    counts: DayCounts
    log_head: Head | None

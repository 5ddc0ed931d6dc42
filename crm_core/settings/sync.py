"""The member ``sync`` of instance.yaml."""

from __future__ import annotations

import msgspec

from crm_core.settings.document import Node
from crm_core.settings.reading import Members, boolean, integer


class SyncSettings(msgspec.Struct, frozen=True):
    """The receiver. ``log_keep_days`` 0 keeps the sync log forever; ``history_keep`` counts revisions of a section."""

    enabled: bool = True
    skew_seconds: int = 300
    future_skew_seconds: int = 300
    max_payload_bytes: int = 262_144
    unverified_per_minute: int = 60
    log_keep_days: int = 0
    log_max_unverified: int = 10_000
    history_keep: int = 50


def read_sync(node: Node) -> SyncSettings:
    """The settings of the receiver. Raises Wrong."""
    members = Members(node)
    skew = members.get("skew_seconds", integer(1, 86_400), 300)
    sync = SyncSettings(
        enabled=members.get("enabled", boolean, True),
        skew_seconds=skew,
        future_skew_seconds=members.get("future_skew_seconds", integer(0, 86_400), skew),
        max_payload_bytes=members.get("max_payload_bytes", integer(1, 16 * 1024 * 1024), 262_144),
        unverified_per_minute=members.get("unverified_per_minute", integer(1, 1_000_000), 60),
        log_keep_days=members.get("log_keep_days", integer(0, 36_500), 0),
        log_max_unverified=members.get("log_max_unverified", integer(1, 1_000_000), 10_000),
        history_keep=members.get("history_keep", integer(1, 10_000), 50),
    )
    members.done()
    return sync

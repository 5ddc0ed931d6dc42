"""The sixteen checks of a push as a reader sees them: which one a code belongs to, and what each means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from crm_core.model.log import LogEntry

TITLES: Final = (
    "Instance, tenant and payload type exist",
    "Receiver enabled",
    "Media type, encoding and size",
    "Signature headers there and well-formed",
    "Key version known and active",
    "Signature matches the raw body",
    "Timestamp within the window, and room under the limit",
    "Source address and payload type allowed for this key",
    "Nonce unused",
    "Body parses; envelope, tenant and type are right",
    "Payload not applied before",
    "Version newer than the floor",
    "Schema",
    "Module policy",
    "Validators",
    "Applied and durable",
)
_OF_CODE: Final[Mapping[str, int]] = {
    "misdirected_instance": 1,
    "unknown_tenant": 1,
    "unknown_payload_type": 1,
    "receiver_disabled": 2,
    "unsupported_media_type": 3,
    "payload_too_large": 3,
    "request_timeout": 3,
    "signature_missing": 4,
    "signature_malformed": 4,
    "ambiguous_signature": 4,
    "scheme_not_accepted": 4,
    "key_unknown": 5,
    "key_inactive": 5,
    "signature_invalid": 6,
    "signature_incomplete": 6,
    "timestamp_out_of_window": 7,
    "rate_limited": 7,
    "source_not_allowed": 8,
    "type_not_allowed": 8,
    "replayed_nonce": 9,
    "malformed_json": 10,
    "invalid_envelope": 10,
    "tenant_mismatch": 10,
    "type_mismatch": 10,
    "duplicate_payload": 11,
    "stale_version": 12,
    "invalid_payload": 13,
    "module_blocked": 14,
    "module_unsupported": 14,
    "storage_unavailable": 16,
    "storage_full": 16,
}
_VERIFIED: Final = 9  # an attempt with a place in the chain has passed these


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A check of one attempt: passed, failed, or not reached."""

    number: int
    title: str
    detail: str
    tone: str
    icon: str
    word: str
    failed: bool


def failed_check(entry: LogEntry) -> int | None:
    """The check that refused an attempt; None where none did, or where the fault was not one of a check."""
    if entry.error_code is None:
        return None
    if entry.error_code == "type_not_allowed" and entry.seq is not None:
        return 10  # a section of a combined push
    number = _OF_CODE.get(entry.error_code)
    if number is None and entry.error_code.endswith("_required"):
        return 13
    return number


def checks_of(entry: LogEntry, instance: str) -> Iterator[Check]:
    """The sixteen checks of an attempt in their order."""
    failed = failed_check(entry)
    reached = 16 if entry.error_code is None else failed or (_VERIFIED if entry.seq is not None else 0)
    details = _details(entry, instance)
    for number, title in enumerate(TITLES, start=1):
        passed = number < reached or (number == reached and failed is None)
        detail = details.get(number, "") if passed else ""
        if entry.status == "previewed" and number == 16:
            detail = "A preview: nothing was written"
        if number == failed:
            yield Check(number=number, title=title, detail="", tone="bad", icon="x", word="Failed", failed=True)
        elif passed:
            yield Check(number=number, title=title, detail=detail, tone="ok", icon="check", word="Passed", failed=False)
        else:
            yield Check(
                number=number, title=title, detail="", tone="idle", icon="minus", word="Not reached", failed=False
            )


def _details(entry: LogEntry, instance: str) -> Mapping[int, str]:
    size = "" if entry.payload_bytes is None else f"{entry.payload_bytes:,} bytes"
    key = "" if entry.key_version is None else f"{entry.tenant}:{entry.key_version}"
    version = "" if entry.payload_version is None else f"Version {entry.payload_version}"
    applied = "" if entry.revision is None else f"Revision {entry.revision}, {entry.changes_count or 0} changes"
    return {
        1: f"{instance}, {entry.tenant}, {entry.payload_type or 'no type'}",
        2: f"For the instance and for {entry.tenant}",
        3: f"application/json, {size}" if size else "",
        4: f"Scheme {entry.scheme}" if entry.scheme else "",
        5: key,
        6: f"With key {key}" if key else "",
        8: f"From {entry.source_ip}" if entry.source_ip else "",
        12: version,
        16: applied,
    }

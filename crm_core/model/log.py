"""The sync log's entry and its chain: each verified entry contains the hash of the one before.

``entry_hash`` is the lower-case hex SHA-256 of ``prev_hash``, LF and the RFC 8785 JSON of the entry without its
two hashes. All values are texts, integers or null, so the sorted compact form is the RFC 8785 form.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

import msgspec

GENESIS = "0" * 64  # prev_hash of the first entry of a chain

Status = Literal["applied", "unchanged", "previewed", "rejected", "failed"]
ACCEPTED: Final[tuple[Status, ...]] = ("applied", "unchanged")  # statuses whose version counts
SignatureResult = Literal["valid", "missing", "malformed", "unknown_key", "inactive_key", "invalid", "unchecked"]


class LoggedFinding(msgspec.Struct, frozen=True):
    """A finding on a refused push, as stored in its entry."""

    pointer: str
    code: str
    message: str


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt on a tenant, as the log API shows it. ``seq`` and the hashes are null for unverified attempts.

    ``errors``: the first findings of a refusal; an entry without findings has no such member, so entries from before
    it keep their hashes.
    """

    id: str
    seq: int | None = None
    received_at: str
    instance: str
    tenant: str
    payload_type: str | None = None
    payload_version: int | None = None
    mode: str | None = None
    scheme: str | None = None
    key_version: int | None = None
    signature_result: SignatureResult
    status: Status
    error_code: str | None = None
    error_message: str | None = None
    request_id: str
    client_request_id: str | None = None
    source_ip: str | None = None
    nonce: str | None = None
    payload_sha256: str | None = None
    payload_bytes: int | None = None
    duration_ms: int | None = None
    revision: int | None = None
    changes_count: int | None = None
    actor: str | None = None
    count: int = 1
    prev_hash: str | None = None
    entry_hash: str | None = None
    errors: tuple[LoggedFinding, ...] | msgspec.UnsetType = msgspec.UNSET


class Head(msgspec.Struct, frozen=True):
    """The newest link of a tenant's chain; ``seq`` is 0 while the chain is empty."""

    seq: int = 0
    hash: str = GENESIS


_encode = msgspec.json.Encoder(order="sorted").encode


def hashed_text(entry: LogEntry) -> bytes:
    """The RFC 8785 JSON of an entry without its hashes."""
    return _encode(msgspec.structs.replace(entry, prev_hash=msgspec.UNSET, entry_hash=msgspec.UNSET))


def link(entry: LogEntry, head: Head) -> LogEntry:
    """The entry as the next link of the chain that ends in ``head``: seq and both hashes filled in."""
    linked = msgspec.structs.replace(entry, seq=head.seq + 1, prev_hash=head.hash)
    digest = hashlib.sha256(head.hash.encode() + b"\n" + hashed_text(linked)).hexdigest()
    return msgspec.structs.replace(linked, entry_hash=digest)


def is_intact(entry: LogEntry) -> bool:
    """Whether an entry's hash fits its content."""
    if entry.prev_hash is None or entry.entry_hash is None:
        return False
    digest = hashlib.sha256(entry.prev_hash.encode() + b"\n" + hashed_text(entry)).hexdigest()
    return digest == entry.entry_hash

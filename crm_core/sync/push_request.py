"""A push as it arrived, and its state on the way through the checks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Literal

import msgspec

from crm_core.errors import (
    AmbiguousSignature,
    CrmError,
    KeyInactive,
    KeyUnknown,
    SchemeNotAccepted,
    SignatureIncomplete,
    SignatureInvalid,
    SignatureMalformed,
    SignatureMissing,
)
from crm_core.model.envelope import Envelope
from crm_core.model.header_fields import HeaderFields
from crm_core.model.keys import Key
from crm_core.model.log import LogEntry, LoggedFinding, SignatureResult, Status
from crm_core.model.recent import cached
from crm_core.model.secret_members import secret_members
from crm_core.model.times import to_wire
from crm_core.plugin.payload import PayloadType
from crm_core.plugin.signature import Presented, SignatureScheme, SignedRequest
from crm_core.sync.outcome import PartShape

_LONGEST_NAME: Final = 64


class PushRequest(HeaderFields, frozen=True, kw_only=True):
    """A request for a tenant that exists. ``read_body`` reads once and raises PayloadTooLarge while reading.

    ``headers``: (lower-case name, value) in order. ``path`` and ``query`` (None: no ``?``) are raw. ``scheme`` and
    ``authority`` are those of ``public_url`` where it is set, else as received.
    """

    tenant: str
    payload_type: str
    request_id: str
    client_request_id: str | None
    source: str | None
    received_at: datetime
    method: str
    path: str
    query: str | None
    scheme: Literal["http", "https"]
    authority: str
    read_body: Callable[[], Awaitable[bytes]]

    @cached
    def arrived_at(self) -> str:
        """``received_at`` as log and claims show it."""
        return to_wire(self.received_at)

    def signed_request(self, instance: str, body: bytes) -> SignedRequest:
        """The request as signature schemes see it."""
        return SignedRequest(
            method=self.method,
            path=self.path,
            query=self.query,
            scheme=self.scheme,
            authority=self.authority,
            headers=self.headers,
            body=body,
            instance=instance,
            tenant=self.tenant,
            payload_type=self.payload_type,
        )


_RESULTS: Final[dict[type[CrmError], SignatureResult]] = {
    SignatureMissing: "missing",
    SignatureMalformed: "malformed",
    AmbiguousSignature: "malformed",
    SchemeNotAccepted: "unchecked",
    KeyUnknown: "unknown_key",
    KeyInactive: "inactive_key",
    SignatureInvalid: "invalid",
    SignatureIncomplete: "invalid",
}


class Attempt(msgspec.Struct):
    """The findings of the checks so far, and the log entry made of them.

    ``hash_shown``: False while the payload may contain secrets, which could be guessed offline from its hash.
    ``seconds``: from ``started_at`` to the decision, once there is an entry.
    """

    push: PushRequest
    instance: str
    started_at: datetime  # when the body's last byte arrived; the push, if no body was read
    body: bytes = b""
    body_read: bool = False
    fingerprints: tuple[str, ...] = ()  # keyed hashes of the body, the newest key's first
    hash_shown: bool = False
    scheme: SignatureScheme | None = None
    presented: Presented | None = None
    key: Key | None = None
    other_keys: tuple[Key, ...] = ()  # under which this message may have come before
    verified_signature: bool = False
    envelope: Envelope | None = None
    parts: tuple[PartShape, ...] = ()
    seconds: float = 0.0
    _request: SignedRequest | None = None

    def unread(self, payload_type: PayloadType) -> None:
        """Have the entry say nothing of the body, which is to be read later, or was read too early."""
        self.envelope, self.parts = None, ()
        self.hash_shown = payload_type.SECTION is not None and not secret_members(payload_type.SECTION)

    def request(self) -> SignedRequest:
        """The request as signature schemes see it, once its body is read."""
        if self._request is None:
            self._request = self.push.signed_request(self.instance, self.body)
        return self._request

    def verified_by(self) -> tuple[Key, Presented]:
        """The key that signed, and its signature; only once the signature has matched."""
        assert self.key is not None
        assert self.presented is not None
        return self.key, self.presented

    def signature_result(self, error: CrmError | None) -> SignatureResult:
        """The result of the signature's checks."""
        if self.verified_signature:
            return "valid"
        return _RESULTS.get(type(error), "unchecked") if error is not None else "unchecked"

    def entry(
        self,
        entry_id: str,
        status: Status,
        now: datetime,
        *,
        error: CrmError | None = None,
        message: str | None = None,
        revision: int | None = None,
        changes_count: int | None = None,
        errors: tuple[LoggedFinding, ...] = (),
    ) -> LogEntry:
        """The attempt's log entry; ``message`` replaces that of the error."""
        push, presented, envelope = self.push, self.presented, self.envelope
        self.seconds = max(0.0, (now - self.started_at).total_seconds())
        key_version = self.key.version if self.key else presented.key_version if presented else None
        return LogEntry(
            id=entry_id,
            received_at=push.arrived_at,
            instance=self.instance,
            tenant=push.tenant,
            payload_type=push.payload_type[:_LONGEST_NAME],  # an unknown one may be of any length
            payload_version=envelope.version if envelope else None,
            mode=envelope.mode if envelope else None,
            scheme=self.scheme.NAME if self.scheme else None,
            key_version=key_version,
            signature_result=self.signature_result(error),
            status=status,
            error_code=error.code if error else None,
            error_message=message or (error.detail if error else None),
            request_id=push.request_id,
            client_request_id=push.client_request_id,
            source_ip=push.source,
            nonce=presented.nonce if presented else None,
            payload_sha256=self.request().sha256 if self.hash_shown and self.body_read else None,
            payload_bytes=len(self.body) if self.body_read else None,
            duration_ms=int(self.seconds * 1000),
            revision=revision,
            changes_count=changes_count,
            actor=f"key:{self.key.version}" if self.key and self.verified_signature else None,
            errors=errors or msgspec.UNSET,
        )

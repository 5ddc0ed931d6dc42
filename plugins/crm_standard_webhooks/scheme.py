"""The symmetric scheme of the Standard Webhooks specification 1.0 (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from typing import ClassVar

from crm_core.errors import SignatureMalformed
from crm_core.plugin.signature import Presented, SignatureScheme, SignedRequest, read_timestamp

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
# With a dot in the id two messages could have the same signed text: id "a.1" at time 2, and id "a" at time 1 with a
# body that starts with "2.".
_MESSAGE_ID = re.compile(r"[!-\-/-~]{1,256}")
_ENTRY = re.compile(r"([A-Za-z0-9_-]{1,16}),([!-~]+)")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_LONGEST_LIST = 8192  # characters; a key rotation needs some hundreds


class StandardWebhooks(SignatureScheme):
    """HMAC-SHA256 over ``{id}.{timestamp}.{body}``. It signs no address, so the envelope must."""

    NAME: ClassVar[str] = "standard-webhooks"
    HEADERS: ClassVar[tuple[str, ...]] = (ID, TIMESTAMP, SIGNATURE)
    SIGNS_INSTANCE: ClassVar[bool] = False

    def read(self, request: SignedRequest) -> Presented:
        """The message id as nonce, and every ``v1`` signature as evidence."""
        message_id, timestamp, signatures = (request.one(name) for name in self.HEADERS)
        return Presented(
            nonce=_checked_id(message_id),
            timestamp=read_timestamp(timestamp, TIMESTAMP),
            evidence=_v1_signatures(signatures),
        )

    def matches(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        """Whether one of the ``v1`` signatures was made with this key."""
        expected = _signature(self.signed_text(request, presented), key)
        found = [hmac.compare_digest(expected, offered.encode()) for offered in presented.evidence]
        return any(found)

    def sign(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        """The three headers; this scheme has no key version."""
        del key_version
        presented = Presented(timestamp=timestamp, nonce=_checked_id(nonce))
        signature = _signature(self.signed_text(request, presented), key).decode()
        return {ID: nonce, TIMESTAMP: str(timestamp), SIGNATURE: f"v1,{signature}"}

    def signed_text(self, request: SignedRequest, presented: Presented) -> bytes:
        """``{id}.{timestamp}.{body}``."""
        return f"{presented.nonce}.{presented.timestamp}.".encode() + request.body


def _signature(text: bytes, key: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, text, "sha256"))


def _checked_id(text: str) -> str:
    if not _MESSAGE_ID.fullmatch(text):
        raise SignatureMalformed(f"{ID} must be 1 to 256 printable ASCII characters without space and dot.")
    return text


def _v1_signatures(text: str) -> tuple[str, ...]:
    """The ``v1`` entries; unknown versions and malformed entries are ignored."""
    if len(text) > _LONGEST_LIST:
        raise SignatureMalformed(f"{SIGNATURE} is longer than {_LONGEST_LIST} characters. Send fewer signatures.")
    entries = [match.groups() for entry in text.split(" ") if (match := _ENTRY.fullmatch(entry))]
    usable = [(version, value) for version, value in entries if version != "v1" or _BASE64.fullmatch(value)]
    if not usable:
        raise SignatureMalformed(f"{SIGNATURE} must contain v1,<base64>. Separate several signatures with one space.")
    return tuple(value for version, value in usable if version == "v1")

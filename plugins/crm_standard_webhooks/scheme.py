"""The scheme of the Standard Webhooks specification 1.0 (https://www.standardwebhooks.com): ``v1`` and ``v1a``."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from typing import ClassVar

from crm_core.errors import AmbiguousSignature, SignatureMalformed
from crm_core.model import ed25519
from crm_core.model.keys import KeyKind
from crm_core.plugin.signature import Presented, SignatureScheme, SignedRequest, read_timestamp

ID, TIMESTAMP, SIGNATURE = FAMILY = "webhook-id", "webhook-timestamp", "webhook-signature"
SVIX = "svix-id", "svix-timestamp", "svix-signature"
MAC, PAIR = "v1", "v1a"
# With a dot in the id two messages could have the same signed text: id "a.1" at time 2, and id "a" at time 1 with a
# body that starts with "2.".
_MESSAGE_ID = re.compile(r"[!-\-/-~]{1,256}")
_ENTRY = re.compile(r"([A-Za-z0-9_-]{1,16}),([!-~]+)")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_LONGEST_LIST = 8192  # characters; a key rotation needs some hundreds
_MOST_OF_PAIRS = 16  # each costs an Ed25519 verification for each public key


class StandardWebhooks(SignatureScheme):
    """HMAC-SHA256 (``v1``) or Ed25519 (``v1a``) over ``{id}.{timestamp}.{body}``.

    It signs no address, so the envelope must.
    """

    NAME: ClassVar[str] = "standard-webhooks"
    HEADERS: ClassVar[tuple[str, ...]] = (*FAMILY, *SVIX)
    SIGNS_INSTANCE: ClassVar[bool] = False
    KEY_KINDS: ClassVar[tuple[KeyKind, ...]] = ("secret", "public")

    def read(self, request: SignedRequest) -> Presented:
        """The message id as nonce; the ``v1`` and ``v1a`` signatures, by version, as evidence."""
        message_id, timestamp, signatures = (request.one(name) for name in _family(request))
        return Presented(
            nonce=_checked_id(message_id), timestamp=read_timestamp(timestamp, TIMESTAMP), evidence=_entries(signatures)
        )

    def matches(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        """Whether one of the ``v1`` signatures was made with this secret."""
        expected = _mac(self.signed_text(request, presented), key)
        found = [hmac.compare_digest(expected, offered.encode()) for offered in presented.evidence[MAC]]
        return any(found)

    def matches_public(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        """Whether one of the ``v1a`` signatures was made with the private key of this public one."""
        text = self.signed_text(request, presented)
        offered = (ed25519.read_signature(entry) for entry in presented.evidence[PAIR])
        return any(raw is not None and ed25519.verifies(key, text, raw) for raw in offered)

    def sign(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        """The three headers; this scheme has no key version."""
        del key_version
        text = self._text_to_sign(request, timestamp, nonce)
        return {ID: nonce, TIMESTAMP: str(timestamp), SIGNATURE: f"{MAC},{_mac(text, key).decode()}"}

    def sign_private(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        """The three headers with a ``v1a`` signature."""
        del key_version
        signature = base64.b64encode(ed25519.sign(key, self._text_to_sign(request, timestamp, nonce))).decode()
        return {ID: nonce, TIMESTAMP: str(timestamp), SIGNATURE: f"{PAIR},{signature}"}

    def _text_to_sign(self, request: SignedRequest, timestamp: int, nonce: str) -> bytes:
        return self.signed_text(request, Presented(timestamp=timestamp, nonce=_checked_id(nonce)))

    def signed_text(self, request: SignedRequest, presented: Presented) -> bytes:
        """``{id}.{timestamp}.{body}``."""
        return f"{presented.nonce}.{presented.timestamp}.".encode() + request.body


def _mac(text: bytes, key: bytes) -> bytes:
    return base64.b64encode(hmac.new(key, text, "sha256").digest())


def _checked_id(text: str) -> str:
    if not _MESSAGE_ID.fullmatch(text):
        raise SignatureMalformed(f"{ID} must be 1 to 256 printable ASCII characters without space and dot.")
    return text


def _family(request: SignedRequest) -> tuple[str, ...]:
    """The three headers by the standard's names or by Svix's. Raises AmbiguousSignature: there are some of both."""
    present = {name for name, _ in request.headers}
    if present.isdisjoint(SVIX):
        return FAMILY
    if not present.isdisjoint(FAMILY):
        raise AmbiguousSignature("The request has webhook- and svix- headers. Send one family of the three headers.")
    return SVIX


def _entries(text: str) -> Mapping[str, tuple[str, ...]]:
    """The ``v1`` and ``v1a`` entries; unknown versions and malformed entries are ignored."""
    if len(text) > _LONGEST_LIST:
        raise SignatureMalformed(f"{SIGNATURE} is longer than {_LONGEST_LIST} characters. Send fewer signatures.")
    entries = [match.groups() for entry in text.split(" ") if (match := _ENTRY.fullmatch(entry))]
    usable = [entry for entry in entries if entry[0] not in (MAC, PAIR) or _BASE64.fullmatch(entry[1])]
    if not usable:
        raise SignatureMalformed(
            f"{SIGNATURE} must contain v1,<base64> or v1a,<base64>. Separate several signatures with one space."
        )
    found = {version: tuple(value for named, value in usable if named == version) for version in (MAC, PAIR)}
    if len(found[PAIR]) > _MOST_OF_PAIRS:
        raise SignatureMalformed(f"{SIGNATURE} has more than {_MOST_OF_PAIRS} v1a entries. Send fewer signatures.")
    return found

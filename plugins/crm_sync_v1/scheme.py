"""Verify and make ``crm-sync-v1`` signatures."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping

from crm_core.errors import SignatureMalformed
from crm_core.model.signed_text import NATIVE, signature, signed_text
from crm_core.plugin.signature import Presented, SignatureScheme, SignedRequest, read_timestamp

_NONCE = re.compile(r"[A-Za-z0-9_-]{16,128}")
_ENTRY = re.compile(r"v1=[0-9a-f]{64}")
_MAX_ENTRIES = 16  # each costs a comparison; a key rotation needs two


class NativeScheme(SignatureScheme):
    """The native scheme: four headers, eight signed lines."""

    NAME = NATIVE
    HEADERS = ("sync-key-version", "sync-timestamp", "sync-nonce", "sync-signature")
    SIGNS_INSTANCE = True

    def read(self, request: SignedRequest) -> Presented:
        """Parse the four headers. Raises SignatureMissing, SignatureMalformed."""
        version, stamp, nonce, header = map(request.one, self.HEADERS)
        if not _NONCE.fullmatch(nonce):
            raise SignatureMalformed("Sync-Nonce must be 16 to 128 characters of A-Z a-z 0-9 _ and -.")
        return Presented(
            key_version=read_timestamp(version, "Sync-Key-Version"),
            timestamp=read_timestamp(stamp, "Sync-Timestamp"),
            nonce=nonce,
            evidence=_entries(header),
        )

    def matches(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        """Whether one of the entries is the signature; all are compared, each in constant time."""
        expected = signature(key, self.signed_text(request, presented))
        found = False
        for entry in presented.evidence:
            found |= hmac.compare_digest(entry, expected)
        return found

    def sign(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        """The four headers."""
        presented = Presented(key_version=key_version, timestamp=timestamp, nonce=nonce)
        return {
            "Sync-Key-Version": str(key_version),
            "Sync-Timestamp": str(timestamp),
            "Sync-Nonce": nonce,
            "Sync-Signature": "v1=" + signature(key, self.signed_text(request, presented)),
        }

    def signed_text(self, request: SignedRequest, presented: Presented) -> bytes:
        """The eight lines."""
        return signed_text(
            instance=request.instance,
            tenant=request.tenant,
            payload_type=request.payload_type,
            key_version=presented.key_version or 0,
            timestamp=presented.timestamp,
            nonce=presented.nonce,
            sha256=request.sha256,
        )


def _entries(header: str) -> tuple[str, ...]:
    """The ``v1`` values of the header; entries of other versions are ignored."""
    all_entries = [entry.strip(" \t") for entry in header.split(",")]
    if len(all_entries) > _MAX_ENTRIES:
        raise SignatureMalformed(f"Sync-Signature has more than {_MAX_ENTRIES} entries. Send fewer signatures.")
    good = tuple([entry.removeprefix("v1=") for entry in all_entries if _ENTRY.fullmatch(entry)])
    if not good:
        raise SignatureMalformed("Sync-Signature must contain v1= and 64 lower-case hex digits.")
    return good

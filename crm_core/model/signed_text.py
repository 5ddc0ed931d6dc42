"""The text that the native scheme signs, shared by its verifier and by the client that signs.

Eight lines joined by LF, none at the end: scheme, instance, tenant, payload type, key version, timestamp (Unix
seconds), nonce, and the lower-case hex SHA-256 of the raw body. HMAC-SHA256 (RFC 2104, FIPS 180-4) with the bytes of
the key.
"""

from __future__ import annotations

import hmac

NATIVE = "crm-sync-v1"


def signed_text(
    *, instance: str, tenant: str, payload_type: str, key_version: int, timestamp: int, nonce: str, sha256: str
) -> bytes:
    """The exact bytes under the signature. ``sha256``: of the body, as hex."""
    return "\n".join((NATIVE, instance, tenant, payload_type, str(key_version), str(timestamp), nonce, sha256)).encode()


def signature(key: bytes, text: bytes) -> str:
    """The value of one ``v1=`` entry: 64 lower-case hex digits."""
    return hmac.new(key, text, "sha256").hexdigest()  # hmac.digest would release the GIL to the journal's threads

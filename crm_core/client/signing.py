"""Signers: functions that make the signature headers of a request.

This module has the signer of the native scheme, for a secret, and one that follows RFC 9421, for a private key. For
another scheme write your own, for example with a library::

    def signer(request: Unsigned, timestamp: int, nonce: str) -> dict[str, str]:
        return {"x-stamp": str(timestamp), "x-nonce": nonce, "x-mac": mac(request.body, timestamp, nonce)}
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from crm_core.client.target import Target
from crm_core.model import ed25519
from crm_core.model.signed_text import signature, signed_text

HEALTH = "health"  # the payload type that a signed health request names


class Unsigned(msgspec.Struct, frozen=True, kw_only=True):
    """A request to sign. ``body``: the exact bytes that will be sent; header names are in lower case."""

    method: str
    scheme: Literal["http", "https"]
    path: str
    authority: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    instance: str
    tenant: str
    payload_type: str


Signer = Callable[[Unsigned, int, str], Mapping[str, str]]
"""Makes the headers of a signature from a request, a timestamp (Unix seconds) and a nonce."""


def push_to(target: Target, payload_type: str, body: bytes) -> Unsigned:
    """A push, to be signed."""
    return _unsigned(target, "POST", payload_type, (("content-type", "application/json"),), body)


def health_of(target: Target) -> Unsigned:
    """A health request, to be signed."""
    return _unsigned(target, "GET", HEALTH, (), b"")


def _unsigned(
    target: Target, method: str, payload_type: str, headers: tuple[tuple[str, str], ...], body: bytes
) -> Unsigned:
    return Unsigned(
        method=method,
        scheme="https" if target.origin.startswith("https:") else "http",
        path=target.path(payload_type),
        authority=target.authority,
        headers=headers,
        body=body,
        instance=target.instance,
        tenant=target.tenant,
        payload_type=payload_type,
    )


def native_signer(key: bytes, key_version: int) -> Signer:
    """Signs with ``crm-sync-v1``; ``key`` is the decoded secret."""

    def sign(request: Unsigned, timestamp: int, nonce: str) -> Mapping[str, str]:
        text = signed_text(
            instance=request.instance,
            tenant=request.tenant,
            payload_type=request.payload_type,
            key_version=key_version,
            timestamp=timestamp,
            nonce=nonce,
            sha256=hashlib.sha256(request.body).hexdigest(),
        )
        return {
            "Sync-Key-Version": str(key_version),
            "Sync-Timestamp": str(timestamp),
            "Sync-Nonce": nonce,
            "Sync-Signature": "v1=" + signature(key, text),
        }

    return sign


def private_key_signer(private_key: bytes, key_version: int) -> Signer:
    """Signs with ``rfc9421`` and ``ed25519``; ``private_key``: its 32 raw bytes."""

    def sign(request: Unsigned, timestamp: int, nonce: str) -> Mapping[str, str]:
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(request.body).digest()).decode()}:"
        covered = {"@method": request.method, "@path": request.path, "content-digest": digest}
        names = " ".join(f'"{name}"' for name in covered)
        parameters = (
            f'({names});created={timestamp};keyid="{request.tenant}:{key_version}";alg="ed25519";nonce="{nonce}"'
        )
        lines = [*(f'"{name}": {value}' for name, value in covered.items()), f'"@signature-params": {parameters}']
        made = base64.b64encode(ed25519.sign(private_key, "\n".join(lines).encode())).decode()
        return {"Content-Digest": digest, "Signature-Input": f"sync={parameters}", "Signature": f"sync=:{made}:"}

    return sign

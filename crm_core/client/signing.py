"""Signers: functions that make the signature headers of a request.

This module has the signer of the native scheme. For another scheme write your own, for example with a library::

    def signer(request: Unsigned, timestamp: int, nonce: str) -> dict[str, str]:
        return {"x-stamp": str(timestamp), "x-nonce": nonce, "x-mac": mac(request.body, timestamp, nonce)}
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from crm_core.client.target import Target
from crm_core.model.signed_text import signature, signed_text

HEALTH = "health"  # the payload type that a signed health request names


class Unsigned(msgspec.Struct, frozen=True, kw_only=True):
    """A request to sign. ``body``: the exact bytes that will be sent; header names are in lower case."""

    method: str
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

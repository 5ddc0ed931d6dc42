"""Ed25519 keys as text: public ones as in the roster, private ones as a platform stores them.

No message ever quotes a private key.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from crm_core.model.ed25519 import KEY_BYTES, public_key_of, public_key_problem

PUBLIC_FORMS: Final = "ed25519:BASE64, whpk_BASE64, or env:NAME or file:/path with one of them or PEM"
PRIVATE_FORMS: Final = "whsk_BASE64, or env:NAME or file:/path with it or PEM"
_PUBLIC = ("ed25519:", "whpk_")
_PRIVATE = "whsk_"
_PUBLIC_PEM, _PRIVATE_PEM = "-----BEGIN PUBLIC KEY-----", "-----BEGIN PRIVATE KEY-----"
_FORM = re.compile(r"\A(?:ed25519:|base64:|hex:|whpk_|whsec_)")
_DER = bytes.fromhex("302a300506032b6570032100")  # the start of every public key in DER (RFC 8410)


def public_key(text: str) -> bytes:
    """The 32 raw bytes of a public key. Raises ValueError with a half sentence."""
    text = text.strip()
    if text.startswith((_PRIVATE, _PRIVATE_PEM)):
        raise ValueError("this is a private key, which stays with the platform; write its public key here")
    if text.startswith(_PUBLIC_PEM):
        raw = _from_pem(text)
    elif text.startswith(_PUBLIC):
        raw = _from_base64(text.removeprefix("ed25519:").removeprefix("whpk_"))
    else:
        raise ValueError(f"this is not a public key; write {PUBLIC_FORMS}")
    problem = public_key_problem(raw)
    if problem is not None:
        raise ValueError(f"this public key cannot be used: {problem}; ask the platform for its Ed25519 public key")
    return raw


def private_key(text: str) -> bytes:
    """The 32 raw bytes of a private key. Raises ValueError with a half sentence.

    After ``whsk_`` the public key may follow, as in the Standard Webhooks specification.
    """
    text = text.strip()
    if text.startswith(_PRIVATE_PEM):
        return _from_pem(text)
    if not text.startswith(_PRIVATE):
        raise ValueError(f"this is not a private key; write {PRIVATE_FORMS}")
    raw = _from_base64(text.removeprefix(_PRIVATE))
    private, public = raw[:KEY_BYTES], raw[KEY_BYTES:]
    if len(private) != KEY_BYTES or public not in (b"", public_key_of(private)):
        raise ValueError("what follows whsk_ is not a private key; crm keys generate --ed25519 prints a fresh one")
    return private


def written_private_key(raw: bytes) -> str:
    """A private key as ``private_key`` reads it."""
    return _PRIVATE + base64.b64encode(raw).decode()


def written_public_key(raw: bytes) -> str:
    """A public key as ``public_key`` reads it."""
    return "ed25519:" + base64.b64encode(raw).decode()


def is_key_of_a_pair(text: str) -> bool:
    """Whether a text is marked as a public or private key and so cannot be a shared secret."""
    return text.strip().startswith((*_PUBLIC, _PRIVATE, _PUBLIC_PEM, _PRIVATE_PEM))


def public_keys_in(secret: bytes) -> set[bytes]:
    """The public keys that a secret could be: its bytes, or its text decoded up to three times."""
    candidates, undecoded = {secret}, {secret}
    for _ in range(3):
        undecoded = {decoded for raw in undecoded for decoded in _decoded(raw)}
        candidates |= undecoded
    candidates |= {decoded.removeprefix(_DER) for decoded in candidates}
    return {decoded for decoded in candidates if len(decoded) == KEY_BYTES}


def _decoded(raw: bytes) -> Iterator[bytes]:
    """A secret's text decoded as hexadecimal and as base64, without the prefix of a form."""
    text = _FORM.sub("", raw.decode("latin-1").strip())
    with suppress(ValueError):
        yield bytes.fromhex(text)
    bare = text.replace("-", "+").replace("_", "/").rstrip("=")
    with suppress(ValueError):
        yield base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("the key is not base64; use A-Z, a-z, 0-9, + and /, padded with =") from None


def _from_pem(text: str) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    try:
        if text.startswith(_PRIVATE_PEM):
            key: object = load_pem_private_key(text.encode(), None)
        else:
            key = load_pem_public_key(text.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the PEM cannot be read; write an Ed25519 key, as openssl pkey prints it") from None
    if isinstance(key, Ed25519PrivateKey):
        return key.private_bytes_raw()
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    raise ValueError("the PEM has a key of another algorithm; write an Ed25519 key")

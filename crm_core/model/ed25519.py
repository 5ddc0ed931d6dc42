"""Ed25519 (RFC 8032): key pairs of 32 raw bytes each, and signatures of 64.

``cryptography`` is imported at the first use: a command that reads a roster without signing starts without it.
"""

from __future__ import annotations

import base64
from typing import Final

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Y_BITS = (1 << 255) - 1  # the bit above them is the sign of x
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})
"""The y of the eight points whose order divides 8."""


def public_key_problem(raw: bytes) -> str | None:
    """Why bytes cannot be trusted as a public key, as half a sentence; None if they can.

    With a key of small order, signatures that its owner never made can be valid. With a second encoding of a point, one
    key could be in a roster twice (RFC 8032, 5.1.3).
    """
    if len(raw) != KEY_BYTES:
        return f"it has {len(raw)} bytes, not {KEY_BYTES}"
    y = int.from_bytes(raw, "little") & _Y_BITS
    if y % _P in _SMALL_ORDER:
        return "it has a small order, so anyone could sign for it"
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if y >= _P or pow(square, (_P - 1) // 2, _P) != 1:
        return "its bytes are not a point of the curve"
    return None


def new_private_key() -> bytes:
    """A fresh private key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_key_of(private: bytes) -> bytes:
    """The public key of a private one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def sign(private: bytes, text: bytes) -> bytes:
    """The signature over a text."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private).sign(text)


def verifies(public: bytes, text: bytes, signature: bytes) -> bool:
    """Whether a signature over a text was made with the private key of this public one."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_signature(text: str) -> bytes | None:
    """The bytes of a signature in base64, padded or not; None if it is not one or is not in canonical form."""
    bare = text.rstrip("=")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        return None
    spelled = base64.b64encode(raw).decode()
    return raw if len(raw) == SIGNATURE_BYTES and text in (spelled, spelled.rstrip("=")) else None

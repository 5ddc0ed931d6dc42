r"""Signature schemes: how a push is signed, and nothing about whether it is welcome.

A complete scheme::

    class Shared(SignatureScheme):
        NAME = "shared"
        HEADERS = ("x-shared-stamp", "x-shared-nonce", "x-shared-mac")
        SIGNS_INSTANCE = False

        def read(self, request):
            stamp, nonce, mac = (request.one(name) for name in self.HEADERS)
            if not re.fullmatch("[!-~]{16,128}", nonce) or not re.fullmatch("[0-9a-f]{64}", mac):
                raise SignatureMalformed("The nonce takes 16 to 128 printable characters, the MAC 64 hex digits.")
            return Presented(timestamp=read_timestamp(stamp, "X-Shared-Stamp"), nonce=nonce, evidence=mac)

        def matches(self, request, presented, key):
            # No nonce has a line end, so no part of the body can be read as a part of the nonce.
            text = f"{presented.timestamp}\n{presented.nonce}\n".encode() + request.body
            return hmac.compare_digest(hmac.new(key, text, "sha256").hexdigest(), presented.evidence)

        def sign(self, request, key, key_version, timestamp, nonce): ...

The core finds the scheme by its headers, picks the keys, compares clocks and remembers nonces. A scheme is total:
for any bytes in the headers it returns or raises one of the errors named here.

A scheme that verifies with public keys says ``KEY_KINDS = ("public",)``, or names both kinds, and has
``matches_public`` and ``sign_private`` for them. Keys of each kind go to their own method only.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import msgspec

from crm_core.errors import SignatureMalformed, SignatureMissing
from crm_core.model.header_fields import HeaderFields
from crm_core.model.keys import Key, KeyKind
from crm_core.model.recent import cached

MATCHING: Mapping[KeyKind, str] = {"secret": "matches", "public": "matches_public"}
SIGNING: Mapping[KeyKind, str] = {"secret": "sign", "public": "sign_private"}
NATIVE_CLOCK_DIGITS = 15  # enough for every year of a datetime, few enough to be cheap to read


class SignedRequest(HeaderFields, frozen=True, kw_only=True):
    """A request as it arrived: raw bytes where a signature covers bytes.

    ``headers``: (lower-case name, value) in their order, values as received without outer white space. ``path`` and
    ``query`` (None: no ``?``) are raw. ``scheme`` and ``authority`` are those of ``public_url`` if it is set, else as
    received. ``payload_type`` is the one of the URL, ``health`` for signed health.
    """

    method: str
    path: str
    query: str | None
    authority: str
    body: bytes
    instance: str
    tenant: str
    payload_type: str
    scheme: Literal["http", "https"] = "https"

    @cached
    def sha256(self) -> str:
        """The SHA-256 of the body as lower-case hex."""
        return hashlib.sha256(self.body).hexdigest()

    def one(self, name: str) -> str:
        """The value of a header that must be there once. Raises SignatureMissing, SignatureMalformed."""
        found = self.all(name)
        if len(found) == 1:
            return found[0]
        if not found:
            raise SignatureMissing(f"The header {name} is missing; send every header of one signature scheme.")
        raise SignatureMalformed(f"The header {name} appears {len(found)} times; send it once.")


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of a request about its signature.

    ``key_version`` None: the scheme names no key, each active one is tried. ``timestamp`` and ``expires`` are Unix
    seconds; ``evidence`` is the scheme's own and goes back to ``matches``.
    """

    timestamp: int
    nonce: str
    key_version: int | None = None
    expires: int | None = None
    evidence: Any = None


def read_timestamp(text: str, header: str) -> int:
    """Unix seconds from ASCII digits, at most 15, without sign or leading zero. Raises SignatureMalformed."""
    plain = text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
    if not plain or len(text) > NATIVE_CLOCK_DIGITS:
        raise SignatureMalformed(
            f"{header} must be a number of at most {NATIVE_CLOCK_DIGITS} plain digits, without sign or leading zero."
        )
    return int(text)


class SignatureScheme(ABC):
    """A way to sign. ``HEADERS`` (lower-case): any of them present means this scheme.

    ``SIGNS_INSTANCE``: the signature covers the instance code; if not, the envelope must name it.
    ``KEY_KINDS``: the kinds of keys that it verifies with. A scheme has ``matches`` and ``sign`` for secrets,
    ``matches_public`` and ``sign_private`` for key pairs. ``matches`` receives the bytes of secrets alone,
    ``matches_public`` those of public keys (Ed25519, 32 raw bytes), so that no MAC is computed with a public key, which
    anyone may know.
    """

    NAME: ClassVar[str]
    HEADERS: ClassVar[tuple[str, ...]]
    SIGNS_INSTANCE: ClassVar[bool]
    KEY_KINDS: ClassVar[tuple[KeyKind, ...]] = ("secret",)

    @abstractmethod
    def read(self, request: SignedRequest) -> Presented:
        """Read the headers. Raises SignatureMissing, SignatureMalformed, AmbiguousSignature, KeyUnknown.

        KeyUnknown: it names another tenant.
        """

    def matches(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        """Whether the signature was made with this secret over these bytes, in constant time.

        Raises SignatureIncomplete if it covers too little, SignatureMalformed if that shows only now.
        """
        raise NotImplementedError

    def matches_public(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        """Whether the signature was made over these bytes with the private key of this public one. Raises as above."""
        raise NotImplementedError

    def sign(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        """The headers that make the request a signed one; what ``matches`` accepts."""
        raise NotImplementedError

    def sign_private(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        """The headers that ``matches_public`` accepts; ``key``: the 32 bytes of the private key."""
        raise NotImplementedError

    def verifies(self, request: SignedRequest, presented: Presented, key: Key) -> bool:
        """Whether the signature was made with this key; the key's kind decides how that is checked."""
        matches: Callable[[SignedRequest, Presented, bytes], bool] = getattr(self, MATCHING[key.kind])
        return matches(request, presented, key.material)

    def may_use(self, key: Key) -> bool:
        """Whether the key is of a kind that the scheme verifies with, and not narrowed to other schemes."""
        return key.serves(self.NAME, self.KEY_KINDS)

    def signed_text(self, request: SignedRequest, presented: Presented) -> bytes:
        """The exact bytes the signature must cover, for explaining a mismatch."""
        raise LookupError(f"{self.NAME} does not show its signed text for {request.path} {presented.nonce}")

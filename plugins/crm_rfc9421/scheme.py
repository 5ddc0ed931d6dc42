"""HTTP Message Signatures (RFC 9421) with ``hmac-sha256`` or ``ed25519`` and a covered Content-Digest (RFC 9530)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from crm_core.errors import KeyUnknown, SignatureIncomplete, SignatureMalformed
from crm_core.model import ed25519
from crm_core.model.keys import KeyKind
from crm_core.plugin.signature import NATIVE_CLOCK_DIGITS, Presented, SignatureScheme, SignedRequest
from crm_rfc9421.base import DIGEST, DIGESTS, TARGETS, component_names, signature_base
from crm_rfc9421.fields import ByteSequence, InnerList, Item, Member, read_dictionary, written_list

INPUT, SIGNATURE = "signature-input", "signature"
MAC, PAIR = "hmac-sha256", "ed25519"
TAG, LABEL = "crm-sync", "sync"
REQUIRED = ("@method", DIGEST)
_NONCE = re.compile(r"[!-~]{1,256}")
_KEY_VERSION = re.compile(rf"0|[1-9][0-9]{{0,{NATIVE_CLOCK_DIGITS - 1}}}")


class Label(msgspec.Struct, frozen=True):
    """A signature of a message: the covered components with parameters, its base64, and that of the known digests.

    Base64 is without padding.
    """

    covered: InnerList
    signature: str
    digests: Mapping[str, str]


class MessageSignatures(SignatureScheme):
    """Covers at least method, address and the body's digest; the address names the instance.

    The algorithm is that of the key; ``alg``, if sent, must say the same.
    """

    NAME: ClassVar[str] = "rfc9421"
    HEADERS: ClassVar[tuple[str, ...]] = (INPUT, SIGNATURE)
    SIGNS_INSTANCE: ClassVar[bool] = True
    KEY_KINDS: ClassVar[tuple[KeyKind, ...]] = ("secret", "public")

    def read(self, request: SignedRequest) -> Presented:
        """The parameters of the label for this tenant; the label is the evidence."""
        inputs, signatures = (read_dictionary(request.one(name), name) for name in self.HEADERS)
        digests = _digests(request)
        name, covered, key_version = _chosen(inputs, request.tenant)
        component_names(covered)
        _check_algorithm(covered, MAC, PAIR)
        signature = _byte_sequence(signatures.get(name), f"{SIGNATURE} under the label {name}")
        return Presented(
            timestamp=_seconds(covered, "created"),
            expires=_seconds(covered, "expires") if "expires" in covered.parameters else None,
            nonce=_nonce(covered.parameters.get("nonce")),
            key_version=key_version,
            evidence=Label(covered, signature, digests),
        )

    def matches(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        """Whether the label is signed with this secret and covers enough, and the digest matches the body."""
        text = _enough_covered(request, presented.evidence, MAC)
        expected = _base64(hmac.new(key, text, "sha256").digest())
        signed = hmac.compare_digest(expected.encode(), presented.evidence.signature.encode())
        return _digests_match(request, presented.evidence) and signed

    def matches_public(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        """The same for a label that is signed with the private key of this public one."""
        text = _enough_covered(request, presented.evidence, PAIR)
        signature = ed25519.read_signature(presented.evidence.signature)
        signed = signature is not None and ed25519.verifies(key, text, signature)
        return _digests_match(request, presented.evidence) and signed

    def sign(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        """Content-Digest, Signature-Input and Signature; an existing Content-Digest stays."""
        parameters = _parameters(request, MAC, key_version, timestamp, nonce)
        return _headers(request, parameters, lambda text: hmac.new(key, text, "sha256").digest())

    def sign_private(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        """The same headers, signed with a private key."""
        parameters = _parameters(request, PAIR, key_version, timestamp, nonce)
        return _headers(request, parameters, lambda text: ed25519.sign(key, text))

    def signed_text(self, request: SignedRequest, presented: Presented) -> bytes:
        """The signature base."""
        label: Label = presented.evidence
        return signature_base(request, label.covered)


def _parameters(
    request: SignedRequest, algorithm: str, key_version: int, timestamp: int, nonce: str
) -> Mapping[str, int | str]:
    keyid = f"{request.tenant}:{key_version}"
    return {"created": timestamp, "keyid": keyid, "alg": algorithm, "nonce": _nonce(nonce)}


def _headers(
    request: SignedRequest, parameters: Mapping[str, int | str], sign: Callable[[bytes], bytes]
) -> Mapping[str, str]:
    """The headers of a signature; ``sign`` makes it from the signature base."""
    digest = (
        {}
        if request.all(DIGEST)
        else {"Content-Digest": f"sha-256=:{_padded_base64(hashlib.sha256(request.body).digest())}:"}
    )
    further = tuple((name.lower(), value) for name, value in digest.items())
    complete = msgspec.structs.replace(request, headers=request.headers + further)
    covered = InnerList(tuple(Item(name, {}) for name in ("@method", "@path", DIGEST)), parameters)
    return {
        **digest,
        "Signature-Input": f"{LABEL}={written_list(covered)}",
        "Signature": f"{LABEL}=:{_padded_base64(sign(signature_base(complete, covered)))}:",
    }


def _enough_covered(request: SignedRequest, label: Label, algorithm: str) -> bytes:
    """The signature base of a label that covers enough and names no other algorithm than the key's.

    Raises SignatureIncomplete, SignatureMalformed.
    """
    _check_algorithm(label.covered, algorithm)
    names = component_names(label.covered)
    missing = [name for name in REQUIRED if name not in names]
    if not any(name in names for name in TARGETS):
        missing.append(f"one of {', '.join(TARGETS)}")
    if missing:
        raise SignatureIncomplete(f"The signature must also cover {', '.join(missing)}.")
    return signature_base(request, label.covered)


def _chosen(inputs: Mapping[str, Member], tenant: str) -> tuple[str, InnerList, int]:
    """The label with our tag, or else the first whose keyid is this tenant's: name, covered list, key version."""
    if not inputs:
        raise SignatureMalformed("Signature-Input is empty. Send one label with the covered components.")
    lists = {name: member for name, member in inputs.items() if isinstance(member, InnerList)}
    tagged = {name: covered for name, covered in lists.items() if covered.parameters.get("tag") == TAG}
    for name, covered in (tagged or lists).items():
        key_version = _key_version(covered.parameters.get("keyid"), tenant)
        if key_version is not None:
            return name, covered, key_version
    if not lists:
        raise SignatureMalformed("Signature-Input has no list of covered components. Send one, such as sync=(...).")
    raise KeyUnknown(f'No signature names a key of this tenant. keyid must be "{tenant}:<key version>".')


def _key_version(keyid: object, tenant: str) -> int | None:
    if not isinstance(keyid, str):
        return None
    name, _, version = keyid.partition(":")
    return int(version) if name == tenant and _KEY_VERSION.fullmatch(version) else None


def _check_algorithm(covered: InnerList, *allowed: str) -> None:
    if "alg" in covered.parameters and covered.parameters["alg"] not in allowed:
        raise SignatureMalformed(f"The parameter alg must be {' or '.join(allowed)}, or be left out.")


def _seconds(covered: InnerList, name: str) -> int:
    value = covered.parameters.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SignatureMalformed(f"The parameter {name} is required, in Unix seconds.")
    return value


def _nonce(value: object) -> str:
    if not isinstance(value, str) or not _NONCE.fullmatch(value):
        raise SignatureMalformed("The parameter nonce must be 1 to 256 printable ASCII characters without space.")
    return value


def _byte_sequence(member: Member | None, where: str) -> str:
    """The base64, without padding, of a byte sequence."""
    if not isinstance(member, Item) or not isinstance(member.value, ByteSequence):
        raise SignatureMalformed(f"{where} is required, as a byte sequence :<base64>:.")
    return member.value.base64


def _digests(request: SignedRequest) -> Mapping[str, str]:
    """The base64, without padding, of each known digest of the body (RFC 9530, 2)."""
    members = read_dictionary(", ".join(request.all(DIGEST)), DIGEST)
    return {
        name: _byte_sequence(member, f"{DIGEST} under {name}") for name, member in members.items() if name in DIGESTS
    }


def _digests_match(request: SignedRequest, label: Label) -> bool:
    """Whether all known digests match the body. Raises SignatureIncomplete if there is none."""
    if not label.digests:
        raise SignatureIncomplete(f"{DIGEST} must contain {' or '.join(DIGESTS)}.")
    matching = [
        hmac.compare_digest(_base64(DIGESTS[name](request.body).digest()).encode(), sent.encode())
        for name, sent in label.digests.items()
    ]
    return all(matching)


def _base64(raw: bytes) -> str:
    """Base64 without padding, compared as text so that unused bits count too."""
    return base64.b64encode(raw).decode().rstrip("=")


def _padded_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()

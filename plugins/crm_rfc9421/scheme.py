"""HTTP Message Signatures (RFC 9421) with ``hmac-sha256`` and a covered Content-Digest (RFC 9530)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from crm_core.errors import KeyUnknown, SignatureIncomplete, SignatureMalformed
from crm_core.plugin.signature import NATIVE_CLOCK_DIGITS, Presented, SignatureScheme, SignedRequest
from crm_rfc9421.base import component_names, signature_base
from crm_rfc9421.fields import ByteSequence, InnerList, Item, Member, read_dictionary, written_list

INPUT, SIGNATURE, DIGEST = "signature-input", "signature", "content-digest"
ALGORITHM, TAG, LABEL = "hmac-sha256", "crm-sync", "sync"
REQUIRED = ("@method", "@path", DIGEST)
_NONCE = re.compile(r"[!-~]{1,256}")
_KEY_VERSION = re.compile(rf"0|[1-9][0-9]{{0,{NATIVE_CLOCK_DIGITS - 1}}}")
_DIGESTS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


class Label(msgspec.Struct, frozen=True):
    """A signature of a message: the covered components with parameters, and its base64 without padding."""

    covered: InnerList
    signature: str


class MessageSignatures(SignatureScheme):
    """Covers at least method, path and the body's digest; the path names the instance."""

    NAME: ClassVar[str] = "rfc9421"
    HEADERS: ClassVar[tuple[str, ...]] = (INPUT, SIGNATURE)
    SIGNS_INSTANCE: ClassVar[bool] = True

    def read(self, request: SignedRequest) -> Presented:
        """The parameters of the label for this tenant; the label is the evidence."""
        inputs, signatures = (read_dictionary(request.one(name), name) for name in self.HEADERS)
        name, covered, key_version = _chosen(inputs, request.tenant)
        component_names(covered)
        _check_algorithm(covered)
        return Presented(
            timestamp=_seconds(covered, "created"),
            expires=_seconds(covered, "expires") if "expires" in covered.parameters else None,
            nonce=_nonce(covered.parameters.get("nonce")),
            key_version=key_version,
            evidence=Label(covered, _byte_sequence(signatures.get(name), f"{SIGNATURE} under the label {name}")),
        )

    def matches(self, request: SignedRequest, presented: Presented, key: bytes) -> bool:
        """Whether the label is signed with this key and covers enough, and the digest matches the body."""
        label: Label = presented.evidence
        missing = [name for name in REQUIRED if name not in component_names(label.covered)]
        if missing:
            raise SignatureIncomplete(f"The signature must also cover {', '.join(missing)}.")
        expected = _base64(hmac.digest(key, signature_base(request, label.covered), "sha256"))
        signed = hmac.compare_digest(expected.encode(), label.signature.encode())
        return _digest_matches(request) and signed

    def sign(
        self, request: SignedRequest, key: bytes, key_version: int, timestamp: int, nonce: str
    ) -> Mapping[str, str]:
        """Content-Digest, Signature-Input and Signature; an existing Content-Digest stays."""
        digest = (
            {}
            if request.all(DIGEST)
            else {"Content-Digest": f"sha-256=:{_padded_base64(hashlib.sha256(request.body).digest())}:"}
        )
        further = tuple((name.lower(), value) for name, value in digest.items())
        complete = msgspec.structs.replace(request, headers=request.headers + further)
        covered = InnerList(
            tuple(Item(name, {}) for name in REQUIRED),
            {
                "created": timestamp,
                "keyid": f"{request.tenant}:{key_version}",
                "alg": ALGORITHM,
                "nonce": _nonce(nonce),
            },
        )
        signature = _padded_base64(hmac.digest(key, signature_base(complete, covered), "sha256"))
        return {
            **digest,
            "Signature-Input": f"{LABEL}={written_list(covered)}",
            "Signature": f"{LABEL}=:{signature}:",
        }

    def signed_text(self, request: SignedRequest, presented: Presented) -> bytes:
        """The signature base."""
        label: Label = presented.evidence
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


def _check_algorithm(covered: InnerList) -> None:
    if covered.parameters.get("alg", ALGORITHM) != ALGORITHM:
        raise SignatureMalformed(f'The parameter alg must be "{ALGORITHM}", or be left out.')


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


def _digest_matches(request: SignedRequest) -> bool:
    """Whether all known digests match the body (RFC 9530, 2). Raises SignatureIncomplete if there is none."""
    members = read_dictionary(", ".join(request.all(DIGEST)), DIGEST)
    known = [name for name in members if name in _DIGESTS]
    if not known:
        raise SignatureIncomplete(f"{DIGEST} must contain {' or '.join(_DIGESTS)}.")
    matching = [
        hmac.compare_digest(
            _base64(_DIGESTS[name](request.body).digest()).encode(),
            _byte_sequence(members[name], f"{DIGEST} under {name}").encode(),
        )
        for name in known
    ]
    return all(matching)


def _base64(raw: bytes) -> str:
    """Base64 without padding, compared as text so that unused bits count too."""
    return base64.b64encode(raw).decode().rstrip("=")


def _padded_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
